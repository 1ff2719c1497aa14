// Colours, which follow the style sheet and its dark half, and what tells kinds apart without them.

const DASHES = { matched: [], doubtful: [11, 6], raw: [0.1, 8], unmapped: [0.1, 7, 0.1, 15], tail: [12, 6, 2, 6] };
const WIDTHS = { matched: 4.5, doubtful: 4.5, raw: 5.5, unmapped: 5.5, tail: 3.5 };
const TITLES = {
  matched: ['Matched', 'on the road'], doubtful: ['Doubtful', 'probably on this road'],
  raw: ['Raw', 'no road fits: point to point'], unmapped: ['Off the map', 'it has no road: point to point'],
  tail: ['Tail', 'not matched yet'],
};

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ['matched', 'doubtful', 'raw', 'unmapped', 'tail', 'casing', 'ink', 'paper', 'stop', 'fix', 'quiet',
    'ground', 'water', 'green', 'building', 'rail', 'path', 'street', 'street-edge', 'major', 'street-name'];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// A line of a kind as a picture for the legend.
function swatch(kind) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 44 12');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(svg.namespaceURI, 'path');
  line.setAttribute('d', 'M3 6h38');
  line.setAttribute('class', `line ${kind}`);
  line.setAttribute('stroke-dasharray', DASHES[kind].join(' '));
  line.setAttribute('stroke-width', WIDTHS[kind]);
  svg.append(line);
  return svg;
}

function drawVehicle(context, x, y, { heading, state, size = 9, colour }) {
  context.save();
  context.translate(x, y);
  context.lineWidth = 2;
  context.strokeStyle = colours.paper;
  context.fillStyle = colour;
  context.beginPath();
  if (state === 'moving' && heading !== null) {
    context.rotate(heading);
    context.moveTo(size * 1.15, 0);
    context.lineTo(-size * 0.8, size * 0.8);
    context.lineTo(-size * 0.4, 0);
    context.lineTo(-size * 0.8, -size * 0.8);
    context.closePath();
  } else if (state === 'silent') {
    context.arc(0, 0, size * 0.6, 0, 2 * Math.PI);
    context.fillStyle = colours.paper;
    context.strokeStyle = colour;
  } else if (state === 'standing') {
    context.rect(-size * 0.6, -size * 0.6, size * 1.2, size * 1.2);
  } else {
    context.arc(0, 0, size * 0.7, 0, 2 * Math.PI);
  }
  context.fill();
  context.stroke();
  context.restore();
}

const LABEL_FONT = '600 11.5px system-ui, sans-serif';

function drawLabel(context, text, x, y, colour = colours.ink) {
  context.font = LABEL_FONT;
  context.textBaseline = 'middle';
  context.lineJoin = 'round';
  context.lineWidth = 3.5;
  context.strokeStyle = colours.casing;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

// Places that labels have taken, so that none covers another.
class Room {
  constructor() { this.taken = []; }

  take(left, top, right, bottom) {
    const free = this.taken.every((box) => right < box[0] || left > box[2] || bottom < box[1] || top > box[3]);
    if (free) this.taken.push([left, top, right, bottom]);
    return free;
  }
}
