"use strict";
// Everything that comes from a file or a run is set as text, never as HTML.

const byId = (id) => document.getElementById(id);
const maxMb = Number(document.body.dataset.maxMb);
const compares = document.body.dataset.compares === "1";
const inputs = [...document.querySelectorAll(".input")];
const chosen = inputs.map(() => null);
const MOST_RECORDED_S = 60;
let asked = 0; // the number of the last question: what answers an earlier one is not shown

function made(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function drawn(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function fail(sentence) {
  byId("status").textContent = "";
  byId("error").textContent = sentence;
  byId("error").hidden = false;
}

// What the user chose, dropped or recorded.

function take(number, file) {
  asked += 1;
  byId("error").hidden = true;
  byId("result").hidden = true;
  byId("status").textContent = "";
  const place = inputs[number];
  const player = place.querySelector("audio");
  if (player.src) URL.revokeObjectURL(player.src);
  if (file.size > maxMb * 1e6) {
    chosen[number] = null;
    player.removeAttribute("src");
    player.hidden = true;
    fail(`${file.name} has ${Math.round(file.size / 1e6)} MB, and this page takes ${maxMb} MB; send a part of it, ` +
      "start the page with a larger --max-mb, or use `audiossl predict`.");
    return;
  }
  chosen[number] = file;
  place.querySelector(".chosen").textContent = file.name;
  player.hidden = !file.size;
  if (file.size) player.src = URL.createObjectURL(file);
  else player.removeAttribute("src");
  ask();
}

inputs.forEach((place, number) => {
  const choice = place.querySelector("input");
  choice.addEventListener("change", () => {
    if (choice.files.length) take(number, choice.files[0]);
  });
  choice.addEventListener("click", () => { choice.value = ""; }); // so that the same file can be chosen again
  const drop = place.querySelector(".drop");
  place.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  place.addEventListener("dragleave", () => drop.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    choice.value = "";
    if (event.dataTransfer.files.length) take(number, event.dataTransfer.files[0]);
  });
  const button = place.querySelector(".record");
  button.addEventListener("click", () => record(number, button));
});
// A file that misses the place does not replace the page.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

let recorder = null;

async function record(number, button) {
  if (recorder) { recorder.stop(); return; }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    fail(`The microphone cannot be used (${error.name}); allow it in the browser, or choose a file.`);
    return;
  }
  const parts = [], began = Date.now(), name = button.getAttribute("aria-label");
  recorder = new MediaRecorder(stream);
  const shown = setInterval(() => {
    const passed = (Date.now() - began) / 1000;
    button.textContent = `Stop (${Math.floor(passed)} s)`;
    if (passed > MOST_RECORDED_S && recorder) recorder.stop();
  }, 250);
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = async () => {
    clearInterval(shown);
    stream.getTracks().forEach((track) => track.stop());
    recorder = null;
    button.textContent = "Record";
    button.classList.remove("on");
    button.setAttribute("aria-label", name);
    try {
      inputs[number].querySelector("input").value = "";
      take(number, await asWav(new Blob(parts)));
    } catch (error) {
      fail(`The recording cannot be read (${error.name}); record again, for a second or more.`);
    }
  };
  recorder.start();
  button.textContent = "Stop";
  button.classList.add("on");
  button.setAttribute("aria-label", "Stop recording");
  byId("error").hidden = true;
  byId("status").textContent = "Recording.";
}

// Browsers record in formats of their own; sound that is sent is 16-bit WAV.
async function asWav(blob) {
  const context = new AudioContext();
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  await context.close();
  const rate = sound.sampleRate, samples = sound.getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt "); view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true);
  view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, n) => view.setInt16(44 + 2 * n, Math.max(-1, Math.min(1, value)) * 32767, true));
  return new File([view.buffer], `recorded ${new Date().toLocaleTimeString()}.wav`, { type: "audio/wav" });
}

// Asking and showing.

async function ask() {
  const files = chosen[0] ? chosen.filter(Boolean) : [];
  if (!files.length) { byId("status").textContent = "Now the first recording."; return; }
  const question = asked;
  byId("status").textContent = "Predicting.";
  let answer;
  try {
    const headers = {
      "X-Names": encodeURIComponent(JSON.stringify(files.map((file) => file.name.toWellFormed?.() ?? file.name))),
      "X-Sizes": files.map((file) => file.size).join(","),
    };
    const response = await fetch("/predict", { method: "POST", headers, body: new Blob(files) });
    answer = await response.json();
  } catch (error) {
    answer = { error: "No answer came: the file cannot be read, or `audiossl demo` has ended." };
  }
  if (question !== asked) return;
  if (answer.error) { fail(answer.error); return; }
  const said = answer.columns.map(([name, value]) => `${name} ${value || "nothing"}`).join(", ");
  byId("status").textContent = `Predicted: ${said}.`;
  inputs[0].querySelector(".chosen").textContent = `${answer.name}, ${answer.duration_s.toFixed(2)} s`;
  show(answer);
  nearest(answer.token, question);
}

function show(answer) {
  byId("result").hidden = false;
  byId("columns").replaceChildren(...answer.columns.flatMap(([name, value]) =>
    [made("dt", {}, name), made("dd", { class: value.length > 40 ? "long" : "" }, value || "nothing")]));
  const scores = byId("scores");
  scores.hidden = !answer.scores.length;
  byId("score-word").textContent = answer.score_word;
  scores.querySelector("tbody").replaceChildren(...answer.scores.map(([label, score]) => made("tr", {},
    made("th", { scope: "row" }, label), made("td", { class: "number" }, score.toFixed(3)), made("td", {}, bar(score)))));
  draw(answer);
  tabulate(answer);
}

function bar(share) {
  const svg = drawn("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(drawn("rect", { width: Math.max(0, 100 * share).toFixed(2), height: 10 }));
  return svg;
}

function draw(answer) {
  const svg = byId("wave"), { peaks, timeline, words, duration_s: whole } = answer;
  const loudest = Math.max(1e-4, ...peaks.map(([low, high]) => Math.max(-low, high)));
  const x = (time) => (1000 * time) / whole, at = (n) => (1000 * n) / peaks.length;
  const upper = peaks.map(([, high], n) => `${at(n + 0.5).toFixed(1)},${(50 - (45 * high) / loudest).toFixed(1)}`);
  const lower = peaks.map(([low], n) => `${at(n + 0.5).toFixed(1)},${(50.4 - (45 * low) / loudest).toFixed(1)}`);
  svg.replaceChildren(drawn("polygon", { class: "sound", points: [...upper, ...lower.reverse()].join(" ") }));
  for (const [, start, end] of words)
    svg.append(drawn("rect", { class: "word", x: x(start), y: 0, width: Math.max(1, x(end - start)), height: 100 }));
  const lines = timeline ? timeline.lines : [];
  lines.forEach(([, scores], n) => {
    const points = scores.map((score, w) => [x((timeline.spans[w][0] + timeline.spans[w][1]) / 2), 95 - 90 * score]);
    const ends = [[0, points[0][1]], ...points, [1000, points[points.length - 1][1]]];
    const text = ends.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ");
    svg.append(drawn("polyline", { class: `line line-${n}`, points: text }));
  });
  byId("legend").replaceChildren(...lines.map(([label], n) => {
    const sample = drawn("svg", { viewBox: "0 0 36 10", "aria-hidden": "true" });
    sample.append(drawn("line", { class: `line-${n}`, x1: 0, x2: 36, y1: 5, y2: 5 }));
    return made("li", {}, sample, label);
  }));
  const drawnWith = lines.length ? ` with the scores of ${lines.map(([label]) => label).join(", ")}` : "";
  svg.setAttribute("aria-label", `Waveform of ${answer.name}${drawnWith}`);
  byId("axis").lastElementChild.textContent = `${whole.toFixed(2)} s`;
  document.querySelector("#over-time figcaption").textContent =
    lines.length ? `Scores from 0 (below) to 1 (above). ${timeline.note}` : words.length ? "Shaded: words." : "";
  const now = drawn("line", { class: "now", x1: 0, x2: 0, y1: 0, y2: 100, visibility: "hidden" });
  svg.append(now);
  inputs[0].querySelector("audio").ontimeupdate = (event) => {
    now.setAttribute("visibility", event.target.currentTime > 0 ? "visible" : "hidden");
    for (const end of ["x1", "x2"]) now.setAttribute(end, x(event.target.currentTime));
  };
}

function tabulate({ timeline, words }) {
  const numbers = byId("numbers");
  numbers.hidden = !timeline && !words.length;
  const header = timeline ? timeline.lines.map(([label]) => label) : ["word", "confidence"];
  const rows = timeline
    ? timeline.spans.map((span, w) => [span, timeline.lines.map(([, scores]) => scores[w].toFixed(3))])
    : words.map(([word, start, end, confidence]) => [[start, end], [word, confidence.toFixed(2)]]);
  const head = made("tr", {}, ...["from (s)", "to (s)", ...header].map((name) => made("th", { scope: "col" }, name)));
  numbers.querySelector("thead").replaceChildren(head);
  numbers.querySelector("tbody").replaceChildren(...rows.map(([span, cells]) => made("tr", {},
    ...span.map((time) => made("td", { class: "number" }, time.toFixed(2))), ...cells.map((cell) => made("td", {}, cell)))));
}

async function nearest(token, question) {
  const place = byId("nearest");
  if (!place || !token) return;
  const table = place.querySelector("table"), status = byId("nearest-status");
  table.hidden = true;
  for (;;) {
    let found;
    try {
      found = await (await fetch(`/nearest/${encodeURIComponent(token)}`)).json();
    } catch (error) {
      found = { error: "No answer came: `audiossl demo` has ended." };
    }
    if (question !== asked) return;
    status.textContent = found.error ?? found.sentence;
    if (found.error) return;
    if (found.settled) { list(table, found.rows); return; }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

function list(table, rows) {
  table.hidden = !rows.length;
  const fields = [...new Set(rows.flatMap((row) => Object.keys(row.says)))];
  const titles = [...fields, "cosine", "sound", "item"].map((name) => [name, name === "cosine" ? "number" : ""]);
  table.tHead.replaceChildren(made("tr", {}, ...titles.map(([name, kind]) => made("th", { scope: "col", class: kind }, name))));
  table.tBodies[0].replaceChildren(...rows.map((row) => made("tr", {},
    ...fields.map((field) => made("td", { class: "says", "data-title": field }, row.says[field] ?? "")),
    made("td", { class: "number", "data-title": "cosine" }, row.cosine.toFixed(3)),
    made("td", { class: "player" }, made("audio", { controls: "", preload: "none", src: `/item/${row.number}`, "aria-label": row.name })),
    made("td", { class: "item", "data-title": "item" }, row.name))));
}
