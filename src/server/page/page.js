// SPDX-License-Identifier: Apache-2.0
// The page: sends each image to /v1/score, and to /v1/heatmap once its row is seen.
'use strict';

const PARALLEL = 4; // requests at a time: what waits together is scored together
const TRIES = 20; // of a request that the server has no room for

const element = (id) => document.getElementById(id);

let models = [];
let rows = []; // {file, picture, heat, result, error, line}
let sort = {key: 'score', down: true};
let running = 0;
const waiting = []; // functions that begin a request
let generation = 0; // answers of an older one are dropped

// ---- The server ------------------------------------------------------------------------------

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

async function ask(path, body) {
  const headers = {};
  if (element('key').value) headers.Authorization = `Bearer ${element('key').value}`;
  if (body) headers['Content-Type'] = 'application/octet-stream';
  for (let tries = 1; ; tries++) {
    const answer = await fetch(path, {method: body ? 'POST' : 'GET', headers, body});
    if (answer.ok) return answer;
    if ([429, 503].includes(answer.status) && tries < TRIES) {
      await pause(Number(answer.headers.get('Retry-After')) || 1);
      continue;
    }
    if (answer.status === 401) element('key-field').hidden = false;
    const text = await answer.text();
    let reason = `status ${answer.status}`;
    try {
      reason = JSON.parse(text).error || reason;
    } catch (unused) {
      // not every proxy answers in JSON
    }
    throw new Error(reason);
  }
}

function begin(work) {
  waiting.push(work);
  next();
}

function next() {
  while (running < PARALLEL && waiting.length > 0) {
    running++;
    waiting.shift()().finally(() => {
      running--;
      next();
    });
  }
}

// ---- Models ----------------------------------------------------------------------------------

const model = () => models[element('model').selectedIndex];

function fillModels() {
  element('model').replaceChildren(...models.map((m) => new Option(m.name)));
  fillScores();
}

function fillScores() {
  const m = model();
  element('score').replaceChildren(
    ...m.scores.map((name) => new Option(name, name, name === m.score, name === m.score)));
  element('size').textContent =
    `The model sees ${m.width} × ${m.height} pixels, ${m.channels === 1 ? 'grey' : 'colour'}: ` +
    'larger pictures are made smaller.';
}

async function loadModels() {
  element('error').textContent = '';
  try {
    models = (await (await ask('/v1/models')).json()).models;
    fillModels();
  } catch (error) {
    say('error', error.message);
  }
}

// ---- Rows ------------------------------------------------------------------------------------

const say = (id, text) => { element(id).textContent = text; };

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const judged = () => element('score').value;
const scoreOf = (row) => (row.result ? row.result.scores[judged()] : undefined);
const hasP = () => rows.some((row) => row.result && typeof row.result.p_value === 'number');

// "All" leaves out scores that take long, but for the one that is judged by.
const shownScores = () => model().scores.filter((name) => !rows.some((row) => row.result) ||
  rows.some((row) => row.result && name in row.result.scores));

function columns() {
  const list = [
    {key: 'picture', title: 'Picture'}, {key: 'heat', title: 'Heat map'},
    {key: 'name', title: 'Name', text: true, value: (row) => row.file.name},
    {key: 'score', title: judged(), value: scoreOf}];
  if (hasP()) list.push({key: 'p', title: 'p-value', value: (row) => row.result?.p_value});
  list.push({key: 'flag', title: 'Flag', value: (row) => (isFlagged(row) ? 1 : 0)});
  for (const name of shownScores())
    if (name !== judged())
      list.push({key: `of ${name}`, title: name, value: (row) => row.result?.scores[name]});
  return list;
}

function show(number, key) {
  if (typeof number !== 'number') return '';
  if (key === 'p') return number.toPrecision(3);
  return Math.abs(number) >= 1000 ? number.toFixed(0) : number.toPrecision(4);
}

function heading(column) {
  const cell = make('th', {scope: 'col', className: column.text ? 'text' : ''});
  if (!column.value) {
    cell.textContent = column.title;
    return cell;
  }
  const own = sort.key === column.key;
  cell.setAttribute('aria-sort', own ? (sort.down ? 'descending' : 'ascending') : 'none');
  cell.append(make('button', {type: 'button', textContent: column.title, onclick: () => {
    sort = {key: column.key, down: own ? !sort.down : !column.text};
    draw();
    [...element('head').querySelectorAll('button')]
      .find((button) => button.textContent === column.title)?.focus();
  }}));
  return cell;
}

function cellOf(row, column) {
  if (column.key === 'picture')
    return make('td', {}, make('img', {src: row.picture, alt: `Picture ${row.file.name}`}));
  if (column.key === 'heat')
    return make('td', {}, row.heat
      ? make('img', {src: row.heat, alt: `Heat map of ${row.file.name}`}) : '');
  if (column.key === 'name')
    return make('td', {className: 'text', textContent: row.file.name, title: row.file.name});
  if (column.key === 'flag')
    return make('td', {className: 'flag', textContent: isFlagged(row) ? 'flagged' : '–'});
  if (row.error && column.key === 'score')
    return make('td', {className: 'text', textContent: row.error, title: row.error});
  return make('td', {textContent: show(column.value(row), column.key)});
}

// Numbers by size, names by letters, what has no value last.
function compare(a, b, column) {
  const x = column.value(a), y = column.value(b);
  if (x === undefined || x === null) return y === undefined || y === null ? 0 : 1;
  if (y === undefined || y === null) return -1;
  const order = column.text ? x.localeCompare(y) : x - y;
  return sort.down ? -order : order;
}

function draw() {
  seen.disconnect();
  const list = columns();
  const by = list.find((column) => column.key === sort.key) || list[3];
  rows.sort((a, b) => compare(a, b, by));
  element('head').replaceChildren(...list.map(heading));
  element('rows').replaceChildren(...rows.map((row) => {
    row.line = make('tr', {className: isFlagged(row) ? 'flagged' : ''},
                    ...list.map((column) => cellOf(row, column)));
    row.line.row = row;
    if (row.result && !row.heat && !row.asked) seen.observe(row.line);
    return row.line;
  }));
  element('results').hidden = rows.length === 0;
  drawSlider();
  const done = rows.filter((row) => row.result || row.error).length;
  const failed = rows.filter((row) => row.error).length;
  say('status', rows.length === 0 ? ''
    : `${done} of ${rows.length} scored${failed > 0 ? `, ${failed} could not be` : ''}`);
}

// Many answers come at once: the table is drawn once for all of them.
let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

// ---- The threshold ---------------------------------------------------------------------------

// p-values from 0.001 to 1 by their logarithm; without them, scores between the smallest and the
// largest there are.
function range() {
  const scores = rows.map(scoreOf).filter((score) => typeof score === 'number');
  return {least: Math.min(...scores), most: Math.max(...scores)};
}

let place = null; // of the slider, 0 to 1; null: not moved yet

function threshold() {
  const at = place ?? (hasP() ? Math.log10((model().fpr || 0.01) / 0.001) / 3 : 1);
  if (hasP()) return 0.001 * 10 ** (3 * at);
  const {least, most} = range();
  return least + (most - least) * at;
}

function isFlagged(row) {
  if (!row.result) return false;
  if (hasP()) return row.result.p_value <= threshold() * (1 + 1e-9);
  return place !== null && scoreOf(row) >= threshold();
}

function drawSlider() {
  const count = rows.filter(isFlagged).length;
  const at = threshold();
  if (place === null)
    element('slider').value = hasP() ? 1000 * Math.log10(at / 0.001) / 3 : 1000;
  say('slider-label', hasP() ? 'Flag p-values up to' : `Flag ${judged()} from`);
  const text = !Number.isFinite(at) ? '' : hasP() ? at.toPrecision(2) : show(at);
  say('slider-value', `${text}: ${count} of ${rows.length} flagged`);
  element('slider').setAttribute('aria-valuetext', element('slider-value').textContent);
}

// ---- Work ------------------------------------------------------------------------------------

const query = () => `model=${encodeURIComponent(model().name)}` +
  `&score=${encodeURIComponent(judged())}`;

function score(row) {
  const own = generation;
  begin(async () => {
    if (own !== generation) return;
    try {
      const answer = await (await ask(`/v1/score?${query()}&scores=all`, row.file)).json();
      if (own === generation) row.result = answer.images[0];
    } catch (error) {
      row.error = error.message;
    }
    if (own === generation) drawSoon();
  });
}

function heat(row) {
  const own = generation;
  row.asked = true;
  begin(async () => {
    if (own !== generation) return;
    try {
      const picture = await (await ask(`/v1/heatmap?${query()}`, row.file)).blob();
      if (own !== generation) return;
      row.heat = URL.createObjectURL(picture);
      drawSoon();
    } catch (error) {
      say('error', error.message);
    }
  });
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    if (!entry.target.row.asked) heat(entry.target.row);
  }
});

function add(files) {
  say('error', '');
  if (models.length === 0) return;
  const images = [...files].filter((file) => file.size > 0 && !file.name.startsWith('.'));
  if (images.length === 0) say('error', 'There is no image among these files.');
  for (const file of images) {
    const row = {file, picture: URL.createObjectURL(file)};
    rows.push(row);
    score(row);
  }
  draw();
}

function release(row) {
  if (row.heat) URL.revokeObjectURL(row.heat);
  delete row.heat;
}

function again() {
  generation++;
  waiting.length = 0;
  place = null;
  for (const row of rows) {
    release(row);
    delete row.result;
    delete row.error;
    delete row.asked;
    score(row);
  }
  if (rows.length > 0) draw();
}

function clear() {
  generation++;
  waiting.length = 0;
  place = null;
  for (const row of rows) {
    release(row);
    URL.revokeObjectURL(row.picture);
  }
  rows = [];
  say('error', '');
  draw();
}

// ---- CSV -------------------------------------------------------------------------------------

// Quoted, and nothing that a spreadsheet would take for a formula.
function field(value) {
  let text = value === undefined || value === null ? '' : String(value);
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function download() {
  const names = shownScores();
  const lines = [['name', ...names, 'p_value', 'flagged', 'error']];
  for (const row of rows)
    lines.push([row.file.name, ...names.map((name) => row.result?.scores[name]),
                row.result?.p_value, row.result ? Number(isFlagged(row)) : undefined, row.error]);
  const text = lines.map((line) => line.map(field).join(',')).join('\r\n') + '\r\n';
  const link = make('a', {
    href: URL.createObjectURL(new Blob([text], {type: 'text/csv'})), download: 'scores.csv'});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// ---- Dropping --------------------------------------------------------------------------------

async function filesOf(entry) {
  if (entry.isFile)
    return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return files;
    for (const inner of part) files.push(...await filesOf(inner));
  }
}

async function drop(event) {
  event.preventDefault();
  element('drop').classList.remove('over');
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry())
    .filter(Boolean);
  const files = (await Promise.all(entries.map(filesOf))).flat();
  add(files.length > 0 ? files : event.dataTransfer.files);
}

function listen() {
  for (const id of ['files', 'folder'])
    element(id).addEventListener('change', (event) => {
      add(event.target.files);
      event.target.value = '';
    });
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    element('drop').classList.add('over');
  });
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) element('drop').classList.remove('over');
  });
  document.addEventListener('drop', drop);
  document.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length > 0) add(event.clipboardData.files);
  });
  element('model').addEventListener('change', () => {
    fillScores();
    again();
  });
  element('score').addEventListener('change', again);
  element('key').addEventListener('change', loadModels);
  element('settings').addEventListener('submit', (event) => event.preventDefault());
  element('slider').addEventListener('input', (event) => {
    place = event.target.value / 1000;
    drawSoon();
  });
  element('csv').addEventListener('click', download);
  element('clear').addEventListener('click', clear);
}

listen();
loadModels();
