// The page's own markup, and its parts by name.
(() => {
  const XC = (window.XC ??= {});

  const KEYS = "arrow keys move the brush, with Shift faster; space touches; X changes between hide and show; "
    + "plus and minus change the size; U undoes; Escape leaves";

  const button = (act, text, kind = "") => `<button type="button" data-act="${act}" class="${kind}">${text}</button>`;
  const radio = (name, value, text, checked = "") => `<label>
    <input type="radio" name="${name}" value="${value}" autocomplete="off" ${checked}><span>${text}</span></label>`;
  const range = (name, text, min, max, value, step = 1) => `<label class="xc-range">${text} <input type="range"
    name="${name}" min="${min}" max="${max}" step="${step}" value="${value}" autocomplete="off"></label>`;
  const heading = (number, text) => `<h2><span class="xc-number">${number}</span> ${text}</h2>`;
  const tile = (name, text, better) => `<div class="xc-tile">
    <dt>${text}<small>${better}</small></dt><dd data-part="${name}"></dd></div>`;

  const PICTURES = `
    <section>${heading(1, "Pick a picture")}
      <div class="xc-pictures">
        <div role="radiogroup" aria-labelledby="xc-species">
          <p id="xc-species">Which of nine species?</p><div class="xc-strip" data-part="species"></div></div>
        <div role="radiogroup" aria-labelledby="xc-twins">
          <p id="xc-twins">One picture, two questions</p><div class="xc-strip" data-part="twins"></div></div>
        <div><p>Or one of yours</p>
          <label class="xc-button">Open a picture<input type="file" accept="image/*" data-part="file"></label>
          <p class="xc-note" data-part="own"></p></div>
      </div>
      <p class="xc-note" data-part="about"></p>
      <p role="alert" data-part="alert"></p>
    </section>`;

  const PAINT = `
    <section>${heading(2, "Hide what does not matter")}
      <div class="xc-stage" data-part="stage" tabindex="0" role="application" aria-busy="true"
        aria-describedby="xc-said" aria-label="The picture through your mask: ${KEYS}.">
        <canvas width="384" height="384"></canvas>
        <span class="xc-hint" data-part="hint" aria-hidden="true">Drag over the picture to hide parts of it</span></div>
      <div class="xc-meter" data-part="meter" role="img"><i></i><b></b><u></u></div>
      <div class="xc-scale" aria-hidden="true">
        <span><i></i><span data-part="through"></span></span><span><u></u><span data-part="whole"></span></span></div>
      <div class="xc-row">
        <fieldset class="xc-choice"><legend>brush</legend>
          ${radio("tool", "hide", "Hide", "checked")}${radio("tool", "show", "Show")}</fieldset>
        ${range("radius", "size", 1, 16, 6)}${range("strength", "strength", 0.1, 1, 1, 0.1)}
      </div>
      <div class="xc-row">
        ${button("undo", "Undo")}${button("all", "Show all")}${button("none", "Hide all")}${button("invert", "Invert")}
        ${button("fake-cam", "Hide one pixel")}
      </div>
      <div class="xc-row"><fieldset class="xc-choice"><legend>view</legend>
        ${radio("view", "seen", "What the network sees", "checked")}
        ${radio("view", "over", "Mask over it")}</fieldset></div>
      <details><summary>Painting with the keyboard</summary>
        <p class="xc-note">Once the picture has the focus, ${KEYS}.</p></details>
    </section>`;

  const ANSWER = `
    <section><h2>What the network answers</h2>
      <div class="xc-row">
        <label class="xc-field">Question <select name="question" autocomplete="off"></select></label>
        <label class="xc-field">Class to explain <select name="target" autocomplete="off"></select></label>
      </div>
      <dl class="xc-tiles">
        ${tile("drop", "Average drop", "less is better")}${tile("gain", "Average gain", "more is better")}
        ${tile("increase", "Increase", "surer than before?")}${tile("area", "Area shown", "of the picture")}
      </dl>
      <output class="xc-said" id="xc-said" data-part="said"></output>
      <table><caption>How sure it is of each class: <i></i> on the picture, <b></b> through the mask</caption>
        <thead><tr><th scope="col">class</th><td aria-hidden="true"></td>
          <th scope="col">picture</th><th scope="col">mask</th></tr></thead>
        <tbody data-part="classes"></tbody></table>
    </section>`;

  const METHODS = `
    <section>${heading(3, "Let a method paint")}
      <div class="xc-row">
        ${button("opti-cam", "Opti-CAM", "xc-main")}${button("score-cam", "Score-CAM")}${button("grad-cam", "Grad-CAM")}
        ${button("cam", "CAM")}${button("stop", "Stop")}
      </div>
      <div class="xc-row"><label class="xc-field">Opti-CAM maximises
        <select name="objective" autocomplete="off">
          <option value="mask">the logit of what is shown</option>
          <option value="diff">closeness to the picture’s logit</option>
          <option value="iomask">shown minus hidden</option>
          <option value="iodiff">closeness, shown against hidden</option>
        </select></label></div>
      <p class="xc-note">Opti-CAM starts from the mean of the network’s 128 feature maps and changes their weights,
        step by step, so that the class keeps its logit. You can watch it.</p>
      <p class="xc-note" data-part="progress"></p>
      <div data-part="path" hidden>
        <p class="xc-note">What it maximises, by step:</p>
        <div class="xc-chart" data-part="chart" role="img"><svg viewBox="0 0 100 100" preserveAspectRatio="none">
          <path/><line y1="0" y2="100"/></svg><span></span><span></span></div>
        ${range("step", "step", 0, 0, 0)}<output data-part="step"></output>
        <p class="xc-note">The ten feature maps with the largest weights at this step:</p>
        <div class="xc-channels" data-part="channels" role="img"></div>
      </div>
    </section>`;

  const GAME = `
    <section>${heading(4, "Who gains most?")}
      <table><caption>Masks on this picture for this class; a name shows its mask again</caption>
        <thead><tr><th scope="col">mask</th><th scope="col">area</th>
          <th scope="col">drop</th><th scope="col">gain</th></tr></thead>
        <tbody data-part="board"></tbody></table>
      <p class="xc-said" data-part="lead"></p>
      <p class="xc-note">You can win: Opti-CAM chooses among mixtures of 128 maps of 8 × 8 cells, and you do not. Nor
        does it follow the gain: it follows the logit.</p>
    </section>`;

  const AWAY = `
    <section>${heading(5, "Take it away")}
      <div class="xc-row">
        ${button("link", "Copy a link")}${button("picture", "Save as PNG")}${button("numbers", "Save as JSON")}</div>
      <p class="xc-note" data-part="kept" role="status"></p>
      <label class="xc-field" data-part="link" hidden>The link <input type="text" readonly></label>
      <details><summary>The same in Python</summary><pre tabindex="0"><code data-part="python"></code></pre></details>
      <details data-part="how"><summary>How this page computed</summary>
        <p class="xc-note" data-part="computed"></p></details>
    </section>`;

  // Fill the root and return its named parts.
  const layOut = (root) => {
    const two = (left, right) => `<div class="xc-two">${left}${right}</div>`;
    root.innerHTML = PICTURES + two(PAINT, ANSWER) + two(METHODS, `<div>${GAME}${AWAY}</div>`);
    const parts = root.querySelectorAll("[data-part]");
    return Object.fromEntries([...parts].map((part) => [part.dataset.part, part]));
  };

  Object.assign(XC, { layOut });
})();
