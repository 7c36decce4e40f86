/** The page: reads what it holds, draws it, and does what its buttons say. */

import { Gaussians } from "./gaussians";
import { resting } from "./drives";
import { embedded, Pack, type Facts, type Framing } from "./pack";
import { Rig } from "./rig";
import { Show } from "./show";
import { Stage } from "./stage";

const GROUND = "#e8e8e8";
const LONGEST = 0.1; // Seconds: after a longer pause the person goes on from where they were.

/** What scripts and tests of the page may ask. */
export interface Handle {
  show: Show;
  stage: Stage;
  rig: Rig;
  gaussians: Gaussians;
  frames: number;
}

const one = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

async function main(): Promise<void> {
  const pack = new Pack(await embedded(one("avatar")));
  const sounds = await Promise.all(
    [...document.querySelectorAll<HTMLElement>("script[data-sound]")].map(
      async (element) => new Blob([await embedded(element)], { type: element.dataset.sound }),
    ),
  );
  const rig = new Rig(pack);
  rig.pose(resting(rig.numJoints, rig.numShapes));
  const gaussians = new Gaussians(pack, rig);
  const show = new Show(pack, rig, sounds);
  const stage = new Stage(one<HTMLCanvasElement>("stage"), gaussians, pack.facts.views[pack.facts.view]);
  stage.ground = GROUND;
  const handle: Handle = { show, stage, rig, gaussians, frames: 0 };
  (window as unknown as { incarnate: Handle }).incarnate = handle;
  const refresh = controls(pack.facts, show, stage, rig);
  one("message").textContent = "";
  one("bar").hidden = false;

  let last = performance.now();
  stage.renderer.setAnimationLoop((now) => {
    const moved = show.step(Math.min((now - last) / 1000, LONGEST));
    last = now;
    if (moved) gaussians.update();
    stage.draw(moved);
    refresh();
    handle.frames++;
  });
}

/** Fills the bar; what it returns brings it up to date. */
function controls(facts: Facts, show: Show, stage: Stage, rig: Rig): () => void {
  one("title").textContent = facts.title;
  one("notice").textContent = facts.notice;
  const motions = chips("motions", facts.clips.map((clip) => clip.name), (number) => {
    show.choose(number);
    void show.play();
    poses(-1);
  });
  const poses = chips("poses", facts.poses, (number) => {
    show.take(number);
    motions(-1);
  });
  const faces = chips("faces", facts.expressions, (number) => show.smile(number));
  faces(0);
  sliders(facts.shapes, show);
  transport(show);
  for (const button of document.querySelectorAll<HTMLElement>("[data-view]"))
    button.onclick = () => {
      const framing = button.dataset.view as Framing;
      stage.look(framing === "full" ? rig.whole() : facts.views[framing]);
    };
  one("turn").onclick = () => (stage.turning = toggled(one("turn")));
  sound(show, () => motions(-1));

  const sounding = facts.clips.findIndex((clip) => clip.sound >= 0);
  show.choose(Math.max(sounding, 0));
  motions(Math.max(sounding, 0));
  if (sounding < 0) void show.play(); // Sound waits for a touch: browsers want one.

  const play = one("play"), seek = one<HTMLInputElement>("seek"), time = one("time");
  return () => {
    one("transport").hidden = show.seconds === 0;
    play.textContent = show.playing ? "❚❚" : "▶";
    play.ariaLabel = show.playing ? "Pause" : "Play";
    seek.max = String(show.seconds || 1);
    if (!seek.matches(":active")) seek.value = String(show.second);
    time.textContent = `${minutes(show.second)} / ${minutes(show.seconds)}`;
    one("microphone").ariaPressed = String(show.hears && !show.seconds);
  };
}

function transport(show: Show): void {
  const seek = one<HTMLInputElement>("seek");
  const turn = () => (show.playing ? show.pause() : void show.play());
  one("play").onclick = turn;
  seek.oninput = () => show.seek(Number(seek.value));
  window.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLButtonElement || event.target instanceof HTMLInputElement) return;
    if (event.key === " ") turn();
    else if (event.key === "ArrowRight") show.seek(show.second + 1);
    else if (event.key === "ArrowLeft") show.seek(show.second - 1);
    else return;
    event.preventDefault();
  });
}

/** A row of buttons of which one is pressed; returns what presses one without doing anything. */
function chips(id: string, names: string[], act: (number: number) => void) {
  const buttons = names.map((name, number) => {
    const button = document.createElement("button");
    button.textContent = name;
    button.onclick = () => {
      press(number);
      act(number);
    };
    return button;
  });
  const press = (number: number) =>
    buttons.forEach((button, other) => (button.ariaPressed = String(other === number)));
  press(-1);
  one(id).replaceChildren(...buttons);
  one(id).hidden = names.length === 0;
  return press;
}

function sliders(names: string[], show: Show): void {
  const rows = names.map((name, number) => {
    const row = document.createElement("label"), slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: "0", max: "1", step: "any", value: "0" });
    slider.oninput = () => (show.own[number] = Number(slider.value));
    row.append(name, slider);
    return row;
  });
  one("sliders").append(...rows);
  one("shapes").onclick = () => (one("sliders").hidden = !toggled(one("shapes")));
}

/** A file that is dropped or chosen, and the microphone where the browser allows it. */
function sound(show: Show, begun: () => void): void {
  const say = async (file: File | undefined | null) => {
    if (!file) return;
    try {
      await show.say(file);
      begun();
      told("");
    } catch {
      told(`${file.name} cannot be played here; drop a sound file such as .wav or .mp3`);
    }
  };
  const file = one<HTMLInputElement>("file");
  file.onchange = () => void say(file.files?.[0]).then(() => (file.value = ""));
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    one("drop").hidden = false;
  });
  window.addEventListener("dragleave", () => (one("drop").hidden = true));
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    one("drop").hidden = true;
    void say(event.dataTransfer?.files[0]);
  });
  // From disk browsers ask for every word again, or refuse; over loopback they ask once.
  const microphone = one("microphone");
  microphone.hidden = !location.protocol.startsWith("http") || !navigator.mediaDevices;
  microphone.onclick = async () => {
    if (show.hears) return show.silence();
    try {
      await show.listen();
      begun();
      told("");
    } catch {
      told("the microphone may not be used; allow it in the browser");
    }
  };
}

function toggled(button: HTMLElement): boolean {
  const on = button.ariaPressed !== "true";
  button.ariaPressed = String(on);
  return on;
}

function told(text: string): void {
  one("message").textContent = text;
}

function minutes(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

main().catch((error: unknown) => {
  one("message").className = "failed";
  told(`This page cannot be shown: ${error instanceof Error ? error.message : error}`);
  throw error;
});
