// What stands in the panel beside the map: the figures and stops of a day, and the legend.

function showFigures(day) {
  const rows = [];
  if (!day.loaded) rows.push(['', 'Asking the server']);
  else if (day.empty) rows.push(['', day.live ? 'No drive and no stop is known of the last 24 hours.' : 'No drive and no stop is known of this day.']);
  else {
    rows.push(['From', `${sayDate(day.begin)} ${sayTime(day.begin)}`], ['To', `${sayDate(day.end)} ${sayTime(day.end)}`]);
    for (const kind of Object.keys(TITLES)) {
      const metres = day.metres(kind);
      if (metres || kind === 'matched') rows.push([TITLES[kind][0], sayMetres(metres)]);
    }
    const stood = day.stops.reduce((sum, stop) => sum + stop.end - stop.start, 0);
    if (stood) rows.push(['Standing', saySpan(stood)]);
    if (day.delay) rows.push(['Waiting', `points for ${saySpan(day.delay)}`]);
    rows.push(['Times', zone]);
  }
  $('figures').replaceChildren(...rows.flatMap(([term, said]) => [element('dt', term), element('dd', said)]));
}

function showStops(stops, choose) {
  $('stops-title').hidden = !stops.length;
  $('stops').replaceChildren(...stops.map((stop) => {
    const item = element('li'), button = element('button', `${sayShortTime(stop.start)} \u2013 ${sayShortTime(stop.end)}`);
    button.type = 'button';
    button.append(element('span', saySpan(stop.end - stop.start)));
    button.addEventListener('click', () => choose(stop));
    item.append(button);
    return item;
  }));
}

// `toggle(what, shown)` is told when somebody hides a kind of line, or shows it.
function makeLegend(hidden, toggle) {
  const entry = (list, picture, [title, more], box, view) => {
    const item = element('li'), label = element('label'), text = element('span', title);
    text.append(element('small', more));
    label.append(picture, text);
    if (box) {
      const input = Object.assign(element('input'), { type: 'checkbox', checked: !hidden.has(box), id: `show-${box}` });
      input.addEventListener('change', () => toggle(box, input.checked));
      label.append(input);
    }
    if (view) item.dataset.view = view;
    item.append(label);
    list.append(item);
  };
  for (const kind of Object.keys(TITLES)) entry($('kinds'), swatch(kind), TITLES[kind], kind, kind === 'tail' ? 'day' : null);
  entry($('signs'), sign('stop'), ['Stop', 'with its length'], 'stops', 'day');
  entry($('signs'), sign('fixes'), ['Fixes', 'what the receiver said'], 'fixes', 'day');
  entry($('signs'), sign('moving'), ['Moving', 'as of its newest path'], null, 'fleet');
  entry($('signs'), sign('standing'), ['Standing', 'at its last stop'], null, 'fleet');
  entry($('signs'), sign('silent'), ['Silent', 'nothing for three minutes'], null, 'fleet');
}

function element(name, text = '') {
  return Object.assign(document.createElement(name), { textContent: text });
}

// A sign of the map as a picture for the legend.
function sign(what) {
  const canvas = document.createElement('canvas');
  const draw = () => {
    const scale = Math.min(2, window.devicePixelRatio || 1);
    canvas.width = 44 * scale;
    canvas.height = 20 * scale;
    const context = canvas.getContext('2d');
    context.scale(scale, scale);
    if (what === 'stop') drawStop(context, 22, 10);
    else if (what === 'fixes') {
      context.fillStyle = colours.fix;
      for (const [x, y] of [[10, 12], [18, 8], [26, 11], [34, 7]]) {
        context.beginPath();
        context.arc(x, y, 2.8, 0, 2 * Math.PI);
        context.fill();
      }
    } else drawVehicle(context, 22, 10, { heading: 0, state: what, colour: what === 'moving' ? colours.matched : colours.quiet });
  };
  draw();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => requestAnimationFrame(draw));
  canvas.setAttribute('aria-hidden', 'true');
  return canvas;
}
