// What leaves the page: a link, a file of numbers, and the same in Python. And links that come back.
(() => {
  const XC = (window.XC ??= {});
  const { METHODS, OBJECTIVES, PLANE, QUESTIONS, SIDE } = XC;

  const through = async (bytes, stream) => {
    const flow = new Blob([bytes]).stream().pipeThrough(stream);
    return new Uint8Array(await new Response(flow).arrayBuffer());
  };

  const packed = async (mask) => {
    const levels = Uint8Array.from(mask, (value) => Math.floor(255 * value + 0.5));
    const text = String.fromCharCode(...(await through(levels, new CompressionStream("deflate-raw"))));
    return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };

  const unpacked = async (text) => {
    const bytes = XC.bytes(text.replace(/-/g, "+").replace(/_/g, "/"));
    const levels = await through(bytes, new DecompressionStream("deflate-raw"));
    if (levels.length !== PLANE) throw new RangeError("a mask has 64 x 64 values");
    return Float64Array.from(levels, (value) => value / 255);
  };

  // What stands after the # of a link: a method by its name, so that its mask is exact, a painted mask by its bytes.
  const linked = async ({ picture, question, target, mask, origin }) => {
    const words = new URLSearchParams({ flower: picture.seed });
    if (question !== "species") words.set("question", question);
    words.set("class", target);
    if (!origin.method) words.set("mask", await packed(mask));
    else words.set("method", origin.method);
    if (origin.method && origin.objective !== "mask") words.set("objective", origin.objective);
    if (origin.step !== undefined && origin.step !== null) words.set("step", origin.step);
    return words.toString();
  };

  const refuse = (sentence) => { throw new Error(sentence); };

  const whole = (text, end) => (/^\d+$/.test(text) && Number(text) < end ? Number(text) : null);

  // What a link asks for; null if for nothing, an error with a sentence if it cannot be had.
  const asked = async (words, pictures) => {
    if (!words.has("flower")) return null;
    const question = words.get("question") ?? "species", seed = words.get("flower");
    if (!Object.hasOwn(QUESTIONS, question)) refuse(`This link asks a question that there is not: ${question}.`);
    const picture = pictures.find((each) => String(each.seed) === seed && question in each);
    if (!picture) refuse(`This link names a flower that is not in the playground: ${seed}.`);
    const wish = { picture, question, ...await maskAsked(words) };
    if (words.has("class")) {
      wish.target = whole(words.get("class"), XC.data.counts[question]);
      if (wish.target === null) refuse(`This link names a class that there is not: ${words.get("class")}.`);
    }
    return wish;
  };

  const maskAsked = async (words) => {
    const method = words.get("method"), objective = words.get("objective") ?? "mask";
    if (method !== null && !Object.hasOwn(METHODS, method)) {
      refuse(`This link names a method that is not in the playground: ${method}.`);
    }
    if (!OBJECTIVES.includes(objective)) refuse(`This link names an objective that there is not: ${objective}.`);
    const step = words.has("step") ? whole(words.get("step"), 101) : null;
    if (words.has("step") && step === null) refuse("The step in this link is not one from 0 to 100.");
    if (!words.has("mask")) return { method, objective, step };
    try {
      return { mask: await unpacked(words.get("mask")) };
    } catch {
      return refuse("The mask in this link cannot be read; the link may have been cut short.");
    }
  };

  const numbers = (session) => {
    const { picture, question, net, target, origin, mask, found } = session, { drop, increase, gain, ...rest } = found;
    const rows = Array.from({ length: SIDE }, (_, y) => Array.from(mask.subarray(y * SIDE, (y + 1) * SIDE)));
    return JSON.stringify({
      picture: picture.seed ?? picture.name, question, class: target, name: net.classes[target], by: origin.name,
      ...rest, average_drop: drop, average_increase: increase, average_gain: gain, mask: rows,
    });
  };

  const CLASSES = {
    cam: "CAM", "grad-cam": "GradCAM", "score-cam": "ScoreCAM", "opti-cam": "OptiCAM", "fake-cam": "FakeCAM",
  };

  const maskInPython = ({ method, objective, step }, target) => {
    if (!method) return 'mask = torch.tensor(json.load(open("mask.json"))["mask"], dtype=torch.float64)[None, None]';
    const options = ["model"];
    if (step !== undefined && step !== null) options.push(`iterations=${step}`);
    if (objective && objective !== "mask") options.push(`objective="${objective}"`);
    return `mask = xc.${CLASSES[method]}(${options.join(", ")})(image, ${target})`;
  };

  const imageInPython = ({ seed, name }, question) => (seed === undefined
    ? ["import numpy as np", "from PIL import Image", "",
      `picture = Image.open(${JSON.stringify(name)}).convert("RGB")`,
      "side = min(picture.size)  # the square in its middle, as here; the page scales it in another way",
      "corner = [(length - side) // 2 for length in picture.size]",
      "box = (*corner, corner[0] + side, corner[1] + side)", "pixels = np.array(picture.resize((64, 64), box=box))"]
    : ["from xaibook.flowers.dataset import sample_scene", "",
      `pixels = sample_scene("${question}", ${seed}).render().image.copy()`]);

  // Lines that compute the same with the package: from the seed of the picture and the method, or the saved mask.
  const inPython = ({ picture, question, target, origin }) => [
    ...(origin.method ? [] : ["import json", ""]),
    "import torch", "import xaicore as xc", "from xaibook.flowers import flower_classifier",
    ...imageInPython(picture, question),
    "image = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255).double()",
    `model = flower_classifier("${question}").double()`,
    maskInPython(origin, target),
    `p, o = xc.confidence(model, image, mask, ${target})`,
    "print(p.item(), o.item())",
    "print(xc.average_drop(p, o).item(), xc.average_gain(p, o).item())",
  ].join("\n");

  Object.assign(XC, { linked, asked, numbers, inPython });
})();
