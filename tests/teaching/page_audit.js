// What the tests measure in the page: contrast of every visible text, names of controls, and what sticks out sideways.
(() => {
  const numbers = (colour) => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, above) => over(above, below), [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => (value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const isSeen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".unseen, :disabled, [aria-hidden=true]");
  const contrasts = () => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const text = walker.currentNode.textContent.trim();
      if (!text || !isSeen(element) || ["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) continue;
      const style = getComputedStyle(element);
      const below = behind(element);
      const [a, b] = [light(over(numbers(style.color), below)), light(below)].sort((x, y) => y - x);
      const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < (isLarge ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return found;
  };
  const sticksOut = () => [...document.querySelectorAll("body *")].filter(isSeen).filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && (box.right > innerWidth + 1 || box.left < -1);
  }).map((element) => `${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}`);
  const small = () => [...document.querySelectorAll("button, .button, input[type=radio], input[type=checkbox]")].filter(isSeen)
    .filter((element) => { const box = element.getBoundingClientRect(); return box.width && (box.width < 24 || box.height < 24); })
    .map((element) => element.outerHTML.slice(0, 80));
  return { contrasts: contrasts(), sticksOut: sticksOut(), small: small(), wide: document.documentElement.scrollWidth - innerWidth };
})()
