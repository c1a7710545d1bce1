// Pictures and masks on a canvas, in the book's colours; and pictures of the reader's, from a file.
(() => {
  const XC = (window.XC ??= {});
  const { PLANE, SIDE } = XC;
  const OPACITY = 0.75, LEAST = 8, MOST = 50e6;

  let colours, opened = 0;
  const colour = (value) => { // of the book's colour map
    colours ??= XC.bytes(XC.data.colours);
    const place = 3 * Math.min(255, Math.floor(256 * value));
    return colours.subarray(place, place + 3);
  };

  const mixed = { // red, green and blue, from 0 to 255, of one pixel and the mask there
    seen: (rgb, value) => rgb.map((v) => 255 * v * value),
    over: (rgb, value) => {
      const grey = (rgb[0] + rgb[1] + rgb[2]) / 3, paint = colour(value), opacity = OPACITY * value;
      return rgb.map((_, c) => (1 - opacity) * 255 * grey + opacity * paint[c]);
    },
    map: (_, value) => colour(value),
  };

  // Draw pixels under a mask: "seen", as the network gets them, "over", the mask on grey, or "map", the mask alone.
  const drawPixels = (context, pixels, mask, view) => {
    const side = Math.sqrt(mask.length), image = context.createImageData(side, side);
    for (let i = 0; i < mask.length; i++) {
      const rgb = pixels ? [pixels[i], pixels[PLANE + i], pixels[2 * PLANE + i]] : [0, 0, 0];
      image.data.set(mixed[view](rgb, mask[i]), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };

  const blank = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

  const canvasOf = (pixels, mask, view = "seen") => {
    const side = Math.sqrt(mask.length), canvas = blank(side, side);
    drawPixels(canvas.getContext("2d"), pixels, mask, view);
    return canvas;
  };

  // Whether this browser gives back the pixels that were drawn; against fingerprinting some alter them.
  const readsBack = () => {
    const context = blank(16, 16).getContext("2d"), image = context.createImageData(16, 16);
    image.data.forEach((_, i) => { image.data[i] = i % 4 === 3 ? 255 : i * 37 % 256; });
    context.putImageData(image, 0, 0);
    return context.getImageData(0, 0, 16, 16).data.every((value, i) => value === image.data[i]);
  };

  // The square in the middle of a picture, 64 pixels wide; an error with a sentence if there is none.
  const readPicture = async (file) => {
    let picture;
    try {
      picture = await createImageBitmap(file);
    } catch {
      throw new Error(`${file.name} cannot be read as a picture.`);
    }
    const { width, height } = picture, side = Math.min(width, height);
    const size = `${file.name} has ${width} × ${height} pixels`;
    if (side < LEAST) throw new Error(`${size}: a picture needs ${LEAST} each way.`);
    if (width * height > MOST) throw new Error(`${size}, more than 50 million: take a smaller copy of it.`);
    const context = blank(SIDE, SIDE).getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    const bytes = context.getImageData(0, 0, SIDE, SIDE).data.filter((_, i) => i % 4 < 3);
    return { id: `own ${opened += 1}`, name: file.name, pixels: XC.planes(bytes) };
  };

  // Picture, what the network sees, and the mask over the picture, side by side with a line of words, to keep.
  const poster = ({ picture, mask }, words) => {
    const size = 6 * SIDE, gap = 12, line = 40, all = XC.everything();
    const canvas = blank(3 * size + 4 * gap, size + 2 * gap + line);
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false;
    [[all, "seen"], [mask, "seen"], [mask, "over"]].forEach(([shown, view], i) => {
      context.drawImage(canvasOf(picture.pixels, shown, view), gap + i * (size + gap), gap, size, size);
    });
    context.fillStyle = "#24323a";
    context.font = "22px sans-serif";
    context.fillText(words, gap, size + 2 * gap + 24, canvas.width - 2 * gap);
    return canvas;
  };

  Object.assign(XC, { drawPixels, canvasOf, readsBack, readPicture, poster });
})();
