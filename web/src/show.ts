/** What the avatar does now: a pose or a motion, an expression, what it hears. */

import { approached, differs, preset, resting, Track } from "./drives";
import type { Pack } from "./pack";
import type { Drive, Rig } from "./rig";
import { Ear, Sound } from "./sound";
import { blink, Voice } from "./voice";

const SETTLING = 8; // A second: how quickly one pose becomes another.

export class Show {
  readonly tracks: Track[];
  readonly shown: Drive;
  /** What is added to every face, by the sliders. */
  readonly own: Float32Array;
  loop = true;
  /** Whether they blink by themselves. */
  lively = true;
  playing = false;
  second = 0;
  private readonly bases: Float32Array;
  private readonly faces: Float32Array;
  private readonly sounds: Sound[];
  private readonly poses: Drive[];
  private readonly wanted: Drive;
  private readonly posed: Drive;
  private track = -1;
  private pose = 0;
  private expression = 0;
  private sound?: Sound;
  private dropped?: Sound;
  ear?: Ear;
  private voice = new Voice();
  private clock = 0;

  constructor(readonly pack: Pack, private readonly rig: Rig, sounds: Blob[]) {
    const { numJoints, numShapes } = rig;
    this.shown = resting(numJoints, numShapes);
    this.wanted = resting(numJoints, numShapes);
    this.posed = resting(numJoints, numShapes);
    this.own = new Float32Array(numShapes);
    this.bases = pack.floats("bases");
    this.faces = pack.floats("expressions");
    this.poses = pack.facts.poses.map((_, number) => preset(pack, number, numJoints));
    this.tracks = pack.facts.clips.map((clip, number) => new Track(pack, clip, number));
    this.sounds = sounds.map((bytes) => new Sound(bytes));
    this.aim(0);
    approached(this.shown, this.wanted, 1);
  }

  /** The number of the motion that plays or waits, -1 for a pose. */
  get chosen(): number {
    return this.track;
  }

  get seconds(): number {
    if (this.dropped) return this.dropped.element.duration || 0;
    return this.track < 0 ? 0 : this.tracks[this.track].seconds;
  }

  /** What sounds, or waits to. */
  get sounding(): Sound | undefined {
    return this.dropped ?? this.sound;
  }

  get hears(): boolean {
    return this.ear !== undefined;
  }

  take(pose: number): void {
    if (!this.ear) this.silence();
    this.track = -1;
    this.pose = pose;
  }

  smile(expression: number): void {
    this.expression = expression;
  }

  /** Chooses a motion and shows its start; one without words goes along with what is heard. */
  choose(track: number): void {
    const { sound, speaks } = this.tracks[track].clip;
    this.track = track;
    if (this.ear && !speaks && sound < 0) return;
    this.silence();
    this.sound = sound < 0 ? undefined : this.sounds[sound];
    this.seek(0);
  }

  async play(): Promise<void> {
    if (this.track < 0 && !this.dropped) return;
    if (this.second >= this.seconds - 1e-3) this.second = 0;
    this.playing = true;
    const sound = this.sounding;
    if (sound && !(await sound.play(this.second)) && sound === this.sound)
      this.sound = undefined; // Kept silent: a clock of its own leads until it is chosen again.
  }

  pause(): void {
    this.playing = false;
    this.sound?.stop();
    this.dropped?.stop();
  }

  seek(second: number): void {
    this.second = Math.min(Math.max(second, 0), this.seconds);
    const sound = this.sounding;
    if (sound) sound.element.currentTime = this.second;
  }

  /** Lets a sound file drive the face. */
  async say(bytes: Blob): Promise<void> {
    this.silence();
    const sound = new Sound(bytes);
    await new Promise((resolve, reject) => {
      sound.element.addEventListener("loadedmetadata", resolve);
      sound.element.addEventListener("error", () => reject(new Error("no sound in that file")));
    });
    this.dropped = sound;
    this.hear(Ear.of(sound));
    this.second = 0;
    await this.play();
  }

  /** Lets the microphone drive the face. */
  async listen(): Promise<void> {
    const ear = await Ear.ofMicrophone();
    this.silence();
    this.hear(ear);
  }

  /** Ends whatever sounds or is listened to. */
  silence(): void {
    this.pause();
    this.ear?.close();
    this.ear = this.dropped = this.sound = undefined;
  }

  /** Moves on by so many seconds; whether that changed the rig's skin. */
  step(seconds: number): boolean {
    this.clock += seconds;
    if (this.playing) this.advance(seconds);
    this.aim(seconds);
    const led = this.track >= 0 && !this.ear;
    approached(this.shown, this.wanted, led ? 1 : 1 - Math.exp(-SETTLING * seconds));
    if (this.ear) this.shown.weights.set(this.wanted.weights);
    if (!differs(this.shown, this.posed)) return false;
    approached(this.posed, this.shown, 1);
    this.rig.pose(this.shown);
    return true;
  }

  private hear(ear: Ear): void {
    this.ear = ear;
    this.voice = new Voice();
    if (this.track >= 0 && this.tracks[this.track].clip.speaks) this.track = -1;
  }

  private advance(seconds: number): void {
    const sound = this.sounding;
    this.second = sound ? sound.second : this.second + seconds;
    const over = sound ? sound.element.ended : this.second >= this.seconds;
    if (!over) return;
    this.second = this.loop && !sound ? this.second % this.seconds : this.seconds;
    if (this.dropped) this.silence();
    else if (sound || !this.loop) this.pause();
  }

  /** Works out what is wanted now. */
  private aim(seconds: number): void {
    const { wanted, own, bases, faces, expression } = this;
    const count = own.length;
    const track = this.track < 0 ? undefined : this.tracks[this.track];
    if (track) track.at(this.ear ? this.clock % track.seconds : this.second, wanted);
    else {
      wanted.quats.set(this.poses[this.pose].quats);
      wanted.transl.set(this.poses[this.pose].transl);
      wanted.weights.fill(0);
    }
    const speaks = this.ear !== undefined || (track?.clip.speaks ?? false);
    if (this.lively && !track?.clip.speaks) this.add("eyeBlinkLeft", "eyeBlinkRight", blink(this.clock));
    if (this.ear) this.follow(seconds);
    for (let k = 0; k < count; k++) {
      const still = bases[(speaks ? count : 0) + k] + faces[count * expression + k] + own[k];
      wanted.weights[k] = Math.min(Math.max(wanted.weights[k] + still, 0), 1);
    }
  }

  private add(left: string, right: string, weight: number): void {
    const { shapes } = this.pack.facts;
    for (const name of [left, right]) this.wanted.weights[shapes.indexOf(name)] += weight;
  }

  private follow(seconds: number): void {
    const ear = this.ear!;
    ear.listen();
    const { shapes } = this.pack.facts;
    const heard = this.voice.heard(ear.samples, ear.spectrum, ear.sampleRate, seconds);
    for (const [name, weight] of heard) this.wanted.weights[shapes.indexOf(name)] += weight;
  }
}
