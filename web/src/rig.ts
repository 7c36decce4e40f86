/** Skin that follows joints and expressions, as incarnate/body/bending.py defines it.
 *
 * World: y up, metres, the person faces +z and their left is +x. Quaternions are xyzw. A joint's
 * turn is about its own rest position in the axes of the body at rest; parents precede children.
 */

import type { Pack, View } from "./pack";

const YAW = (30 * Math.PI) / 180; // Of an eye whose weight is 1; see incarnate/body/gaze.py.
const PITCH = (25 * Math.PI) / 180;

/** One frame of what moves a person. */
export interface Drive {
  quats: Float32Array;
  transl: Float32Array;
  /** The expression shapes' weights, 0 to 1. */
  weights: Float32Array;
}

export class Rig {
  readonly numVertices: number;
  readonly numJoints: number;
  readonly numShapes: number;
  /** x, y, z and a spare one for each vertex, as textures take them. */
  readonly vertices: Float32Array;
  private readonly points: Float32Array;
  private readonly face: Float32Array;
  private readonly joints: Float32Array;
  private readonly parents: Int32Array;
  private readonly moves: Float32Array;
  private readonly movePoints: Uint16Array;
  private readonly moveStarts: Int32Array;
  private readonly starts: Int32Array;
  private readonly boneOf: Uint8Array;
  private readonly weightOf: Float32Array;
  /** What a vertex turns about; NaN where it hangs on one bone. */
  private readonly centers: Float32Array;
  private readonly eyeOf: Uint8Array;
  private readonly eyeCenters: Float32Array;
  private readonly eyeShapes: Int32Array;
  private readonly matrices: Float32Array;
  private readonly turns: Float32Array;

  constructor(pack: Pack) {
    this.points = pack.floats("points");
    this.numVertices = this.points.length / 3;
    this.vertices = new Float32Array(4 * this.numVertices);
    this.face = new Float32Array(this.points.length);
    this.joints = pack.floats("joints");
    this.numJoints = this.joints.length / 3;
    this.parents = pack.raw("parents") as Int32Array;
    this.moves = pack.floats("moves");
    this.movePoints = pack.raw("move_points") as Uint16Array;
    this.moveStarts = pack.raw("move_starts") as Int32Array;
    this.numShapes = this.moveStarts.length - 1;
    this.boneOf = pack.raw("bones") as Uint8Array;
    this.starts = pack.raw("weight_starts") as Int32Array;
    this.weightOf = normalized(pack.floats("weights"), this.starts);
    this.centers = pack.floats("centers");
    this.eyeOf = pack.raw("eyes") as Uint8Array;
    this.eyeCenters = pack.floats("eye_centers");
    this.eyeShapes = Int32Array.from(
      ["Left", "Right"].flatMap((side) =>
        ["Out", "In", "Down", "Up"].map((way) => pack.facts.shapes.indexOf(`eyeLook${way}${side}`)),
      ),
    );
    this.matrices = new Float32Array(12 * this.numJoints);
    this.turns = new Float32Array(4 * this.numJoints);
  }

  /** Moves all vertices. */
  pose(drive: Drive): void {
    this.express(drive.weights);
    this.fold(drive);
    this.bend();
  }

  /** What a picture of the whole person shows, as they are now. */
  whole(): View {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (let k = 0; k < this.vertices.length; k++) {
      if (k % 4 === 3) continue;
      low[k % 4] = Math.min(low[k % 4], this.vertices[k]);
      high[k % 4] = Math.max(high[k % 4], this.vertices[k]);
    }
    const [x, y, z] = high.map((value, axis) => value - low[axis]);
    return {
      center: [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2],
      span: [Math.max(x, z), y],
    };
  }

  /** Rest vertices with the expression, eyeballs turned. */
  private express(weights: Float32Array): void {
    const { face, moves, movePoints, moveStarts } = this;
    face.set(this.points);
    for (let shape = 0; shape < this.numShapes; shape++) {
      const weight = weights[shape];
      if (weight === 0) continue;
      for (let k = moveStarts[shape]; k < moveStarts[shape + 1]; k++) {
        const to = 3 * movePoints[k];
        face[to] += weight * moves[3 * k];
        face[to + 1] += weight * moves[3 * k + 1];
        face[to + 2] += weight * moves[3 * k + 2];
      }
    }
    this.gaze(weights);
  }

  /** Yaw after pitch, about each eyeball's center. */
  private gaze(weights: Float32Array): void {
    const { face, eyeOf, eyeCenters, eyeShapes } = this;
    const sides = [0, 1].map((side) => {
      const [out, inward, down, up] = eyeShapes.subarray(4 * side, 4 * side + 4);
      const yaw = (side ? -YAW : YAW) * (weights[out] - weights[inward]);
      const pitch = PITCH * (weights[down] - weights[up]);
      return [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    });
    for (let v = 0; v < this.numVertices; v++) {
      if (!eyeOf[v]) continue;
      const side = eyeOf[v] - 1;
      const [sy, cy, sp, cp] = sides[side];
      const cx = eyeCenters[3 * side], cY = eyeCenters[3 * side + 1], cz = eyeCenters[3 * side + 2];
      const x = face[3 * v] - cx, y = face[3 * v + 1] - cY, z = face[3 * v + 2] - cz;
      const along = sp * y + cp * z;
      face[3 * v] = cx + cy * x + sy * along;
      face[3 * v + 1] = cY + cp * y - sp * z;
      face[3 * v + 2] = cz - sy * x + cy * along;
    }
  }

  /** Rest to posed, a rotation and a 3x4 matrix for each joint. */
  private fold({ quats, transl }: Drive): void {
    const { joints, parents, turns, matrices } = this;
    for (let j = 0; j < this.numJoints; j++) {
      const above = parents[j];
      if (above < 0) turns.set(quats.subarray(4 * j, 4 * j + 4), 4 * j);
      else multiply(turns, 4 * above, quats, 4 * j, turns, 4 * j);
      const m = matrices.subarray(12 * j, 12 * j + 12);
      rotation(turns, 4 * j, m);
      const x = joints[3 * j], y = joints[3 * j + 1], z = joints[3 * j + 2];
      let px = x + transl[0], py = y + transl[1], pz = z + transl[2];
      if (above >= 0) {
        const p = matrices.subarray(12 * above, 12 * above + 12);
        px = p[0] * x + p[1] * y + p[2] * z + p[3];
        py = p[4] * x + p[5] * y + p[6] * z + p[7];
        pz = p[8] * x + p[9] * y + p[10] * z + p[11];
      }
      m[3] = px - (m[0] * x + m[1] * y + m[2] * z);
      m[7] = py - (m[4] * x + m[5] * y + m[6] * z);
      m[11] = pz - (m[8] * x + m[9] * y + m[10] * z);
    }
  }

  /** x' = R (x - c) + M c, M the blend of matrices and R that of turns. */
  private bend(): void {
    const { starts, boneOf, weightOf, matrices, turns, centers, face, vertices } = this;
    const blend = new Float32Array(12), turn = new Float32Array(4), about = new Float32Array(12);
    for (let v = 0; v < this.numVertices; v++) {
      const start = starts[v], end = starts[v + 1];
      let m: Float32Array;
      let at: number;
      if (end - start === 1) {
        m = matrices;
        at = 12 * boneOf[start];
      } else {
        m = blend;
        at = 0;
        blend.fill(0);
        for (let k = start; k < end; k++) {
          const from = 12 * boneOf[k], weight = weightOf[k];
          for (let i = 0; i < 12; i++) blend[i] += weight * matrices[from + i];
        }
      }
      let x = face[3 * v], y = face[3 * v + 1], z = face[3 * v + 2];
      let dx = 0, dy = 0, dz = 0;
      const cx = centers[3 * v];
      if (cx === cx) {
        const cy = centers[3 * v + 1], cz = centers[3 * v + 2];
        turn.fill(0);
        const first = 4 * boneOf[start];
        for (let k = start; k < end; k++) {
          const q = 4 * boneOf[k];
          const same =
            turns[q] * turns[first] + turns[q + 1] * turns[first + 1] +
            turns[q + 2] * turns[first + 2] + turns[q + 3] * turns[first + 3];
          const weight = same >= 0 ? weightOf[k] : -weightOf[k];
          for (let i = 0; i < 4; i++) turn[i] += weight * turns[q + i];
        }
        const length = Math.hypot(turn[0], turn[1], turn[2], turn[3]) || 1;
        for (let i = 0; i < 4; i++) turn[i] /= length;
        rotation(turn, 0, about);
        const ox = x - cx, oy = y - cy, oz = z - cz;
        dx = about[0] * ox + about[1] * oy + about[2] * oz;
        dy = about[4] * ox + about[5] * oy + about[6] * oz;
        dz = about[8] * ox + about[9] * oy + about[10] * oz;
        x = cx;
        y = cy;
        z = cz;
      }
      vertices[4 * v] = m[at] * x + m[at + 1] * y + m[at + 2] * z + m[at + 3] + dx;
      vertices[4 * v + 1] = m[at + 4] * x + m[at + 5] * y + m[at + 6] * z + m[at + 7] + dy;
      vertices[4 * v + 2] = m[at + 8] * x + m[at + 9] * y + m[at + 10] * z + m[at + 11] + dz;
    }
  }
}

/** Each vertex's weights, made to sum to 1. */
function normalized(weights: Float32Array, starts: Int32Array): Float32Array {
  for (let v = 0; v + 1 < starts.length; v++) {
    const own = weights.subarray(starts[v], starts[v + 1]);
    const sum = own.reduce((a, b) => a + b, 0);
    for (let k = 0; k < own.length; k++) own[k] /= sum;
  }
  return weights;
}

/** The product of two rotations, the second first. */
function multiply(
  a: Float32Array, i: number, b: Float32Array, j: number, out: Float32Array, k: number,
): void {
  const ax = a[i], ay = a[i + 1], az = a[i + 2], aw = a[i + 3];
  const bx = b[j], by = b[j + 1], bz = b[j + 2], bw = b[j + 3];
  out[k] = aw * bx + bw * ax + ay * bz - az * by;
  out[k + 1] = aw * by + bw * ay + az * bx - ax * bz;
  out[k + 2] = aw * bz + bw * az + ax * by - ay * bx;
  out[k + 3] = aw * bw - ax * bx - ay * by - az * bz;
}

/** The rotation of a unit quaternion into the left part of a 3x4 matrix, row by row. */
function rotation(q: Float32Array, i: number, m: Float32Array): void {
  const x = q[i], y = q[i + 1], z = q[i + 2], w = q[i + 3];
  m[0] = 1 - 2 * (y * y + z * z);
  m[1] = 2 * (x * y - w * z);
  m[2] = 2 * (x * z + w * y);
  m[4] = 2 * (x * y + w * z);
  m[5] = 1 - 2 * (x * x + z * z);
  m[6] = 2 * (y * z - w * x);
  m[8] = 2 * (x * z - w * y);
  m[9] = 2 * (y * z + w * x);
  m[10] = 1 - 2 * (x * x + y * y);
}
