"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const timeline = document.getElementById("timeline");
  const duration = Number(timeline.dataset.duration);
  const play = document.getElementById("play");
  const seek = document.getElementById("seek");
  const clock = document.getElementById("clock");
  const players = new Map([...document.querySelectorAll("audio")].map((one) => [one.dataset.role, one]));
  const choices = [...document.querySelectorAll('input[name="sound"]')];
  const buttons = [...document.querySelectorAll(".hear")];
  const legend = [...document.querySelectorAll(".legend small")];
  const weights = JSON.parse(document.getElementById("weights-data").textContent);
  const longest = Number(seek.max);
  let role = "output";
  let position = 0;
  let playing = false;

  // From bytes rather than from the address: every browser can then seek in it.
  for (const player of players.values()) {
    const [head, body] = player.src.split(",");
    const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
    player.src = URL.createObjectURL(new Blob([bytes], { type: head.slice(5, head.indexOf(";")) }));
    player.removeAttribute("controls");
    player.addEventListener("ended", () => { if (players.get(role) === player) stop(); });
    player.addEventListener("error", () => { play.disabled = true; clock.textContent = "cannot be played here"; });
  }

  const time = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

  function show() {
    root.style.setProperty("--at", String(position / duration));
    seek.value = String(position);
    seek.setAttribute("aria-valuetext", `${position.toFixed(1)} of ${duration.toFixed(1)} seconds`);
    clock.textContent = `${time(position)} / ${time(duration)}`;
    const column = Math.min(weights.columns - 1, Math.floor(position / duration * weights.columns));
    legend.forEach((one, place) => { one.textContent = weights.values[place][column].toFixed(2); });
  }

  function mark() {
    play.classList.toggle("playing", playing);
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    for (const one of choices) one.checked = one.value === role;
    for (const one of buttons) {
      const on = playing && one.dataset.role === role;
      one.setAttribute("aria-pressed", String(on));
      one.textContent = on ? "Pause" : "Play";
      one.setAttribute("aria-label", `${one.textContent} the ${one.dataset.role}`);
    }
  }

  function stop() {
    playing = false;
    for (const player of players.values()) player.pause();
    mark();
    show();
  }

  async function start(wanted) {
    for (const [name, player] of players) if (name !== wanted) player.pause();
    role = wanted;
    if (position >= longest - 0.02) position = 0;
    const player = players.get(role);
    player.currentTime = position;
    playing = true;
    mark();
    try { await player.play(); } catch { if (playing && role === wanted) stop(); }
  }

  function go(seconds) {
    position = Math.min(Math.max(0, seconds), longest);
    if (playing) players.get(role).currentTime = position;
    show();
  }

  function choose(wanted) {
    if (playing) start(wanted); else { role = wanted; mark(); }
  }

  (function follow() {
    if (playing && !players.get(role).seeking) {
      position = Math.min(players.get(role).currentTime, longest);
      show();
    }
    requestAnimationFrame(follow);
  })();

  play.addEventListener("click", () => { if (playing) stop(); else start(role); });
  seek.addEventListener("input", () => go(Number(seek.value)));
  for (const one of choices) one.addEventListener("change", () => choose(one.value));
  for (const one of buttons) {
    one.addEventListener("click", () => { if (playing && role === one.dataset.role) stop(); else start(one.dataset.role); });
  }
  for (const plot of document.querySelectorAll(".plot")) {
    const there = (event) => {
      const box = plot.getBoundingClientRect();
      go((event.clientX - box.left) / box.width * duration);
    };
    plot.addEventListener("pointerdown", (event) => { if (event.button === 0) { there(event); plot.setPointerCapture(event.pointerId); } });
    plot.addEventListener("pointermove", (event) => { if (plot.hasPointerCapture(event.pointerId)) there(event); });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const on = event.target;
    const types = on instanceof HTMLInputElement && on !== seek;
    const order = ["output", "piano", "drums"];
    if (event.key === " " && !(on instanceof HTMLButtonElement)) { event.preventDefault(); if (playing) stop(); else start(role); }
    else if (event.key === "ArrowLeft" && !types) { event.preventDefault(); go(position - 1); }
    else if (event.key === "ArrowRight" && !types) { event.preventDefault(); go(position + 1); }
    else if (event.key === "Home" && !types) { event.preventDefault(); go(0); }
    else if (["1", "2", "3"].includes(event.key)) choose(order[Number(event.key) - 1]);
  });
  mark();
  show();
})();
