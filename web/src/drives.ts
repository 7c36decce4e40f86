/** Poses, expressions and clips of a page as drives of its rig, and what lies between two of them. */

import type { Clip, Pack } from "./pack";
import type { Drive } from "./rig";

const SEEN = 1e-5; // Metres, weights, and parts of a quaternion.
const UNIT = 32767; // What a quaternion's 1 is stored as.

export function resting(numJoints: number, numShapes: number): Drive {
  const quats = new Float32Array(4 * numJoints);
  for (let j = 0; j < numJoints; j++) quats[4 * j + 3] = 1;
  return { quats, transl: new Float32Array(3), weights: new Float32Array(numShapes) };
}

/** A preset pose: every joint's turn, and where the person is. */
export function preset(pack: Pack, number: number, numJoints: number): Drive {
  const drive = resting(numJoints, pack.facts.shapes.length);
  const own = 4 * numJoints;
  drive.quats.set(unit(pack.raw("pose_quats").subarray(own * number, own * (number + 1))));
  drive.transl.set(pack.floats("pose_transl").subarray(3 * number, 3 * number + 3));
  return drive;
}

/** A motion: the joints that move in it, frame by frame. */
export class Track {
  readonly seconds: number;
  private readonly joints: Uint8Array;
  private readonly quats: Float32Array;
  private readonly transl: Float32Array;
  private readonly weights: Float32Array;

  constructor(pack: Pack, readonly clip: Clip, number: number) {
    this.seconds = clip.frames / clip.fps;
    this.joints = pack.raw(`clip${number}_joints`) as Uint8Array;
    this.quats = unit(pack.raw(`clip${number}_quats`));
    this.transl = pack.floats(`clip${number}_transl`);
    this.weights = pack.floats(`clip${number}_weights`);
  }

  /** The frame at a second, between its two neighbours. */
  at(second: number, out: Drive): void {
    const place = Math.min(Math.max(second * this.clip.fps, 0), this.clip.frames - 1);
    const frame = Math.min(Math.floor(place), Math.max(this.clip.frames - 2, 0));
    const next = Math.min(frame + 1, this.clip.frames - 1), share = place - frame;
    const count = this.joints.length;
    for (let k = 0; k < count; k++) {
      const from = 4 * (frame * count + k), to = 4 * (next * count + k);
      between(this.quats, from, this.quats, to, share, out.quats, 4 * this.joints[k]);
    }
    mixed(this.transl, 3 * frame, 3 * next, share, out.transl);
    mixed(this.weights, out.weights.length * frame, out.weights.length * next, share, out.weights);
  }
}

/** Draws `shown` towards `wanted` by a share of what lies between. */
export function approached(shown: Drive, wanted: Drive, share: number): void {
  for (let q = 0; q < shown.quats.length; q += 4)
    between(shown.quats, q, wanted.quats, q, share, shown.quats, q);
  for (const name of ["transl", "weights"] as const)
    shown[name].forEach((value, k) => (shown[name][k] = value + share * (wanted[name][k] - value)));
}

/** Whether anybody could see two drives apart. */
export function differs(one: Drive, other: Drive): boolean {
  return (["quats", "transl", "weights"] as const).some((name) =>
    one[name].some((value, k) => Math.abs(value - other[name][k]) > SEEN),
  );
}

/** The shorter way between two unit quaternions, in a straight line that is normalized. */
function between(
  a: Float32Array, i: number, b: Float32Array, j: number, share: number, out: Float32Array, k: number,
): void {
  const dot = a[i] * b[j] + a[i + 1] * b[j + 1] + a[i + 2] * b[j + 2] + a[i + 3] * b[j + 3];
  const to = dot < 0 ? -share : share;
  let squares = 0;
  for (let n = 0; n < 4; n++) {
    out[k + n] = (1 - share) * a[i + n] + to * b[j + n];
    squares += out[k + n] ** 2;
  }
  const length = Math.sqrt(squares) || 1;
  for (let n = 0; n < 4; n++) out[k + n] /= length;
}

function mixed(rows: Float32Array, from: number, to: number, share: number, out: Float32Array): void {
  for (let n = 0; n < out.length; n++)
    out[n] = (1 - share) * rows[from + n] + share * rows[to + n];
}

function unit(stored: ArrayLike<number>): Float32Array {
  return Float32Array.from(stored, (value) => value / UNIT);
}
