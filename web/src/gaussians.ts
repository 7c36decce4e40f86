/** Gaussians that ride on triangles, as incarnate/avatars/surface.py defines them, placed by the GPU. */

import { dyno, SplatGenerator } from "@sparkjsdev/spark";
import * as THREE from "three";

import type { Pack } from "./pack";
import type { Rig } from "./rig";

const MAX_STRETCH = 3; // As in surface.py.
const TEXELS = 5; // Of four numbers, for each Gaussian.
const ACROSS = 400; // Gaussians in a row of the texture.
const ROW = 1024; // Vertices in a row of theirs.

const PLACED = dyno.unindent(`
  vec4 incarnateQuat(vec3 x, vec3 y, vec3 z) {
    vec4 most = vec4(x.x - y.y - z.z, y.y - x.x - z.z, z.z - x.x - y.y, x.x + y.y + z.z);
    vec4 q;
    if (most.w >= max(most.x, max(most.y, most.z))) {
      q = vec4(y.z - z.y, z.x - x.z, x.y - y.x, 1.0 + most.w);
    } else if (most.x >= max(most.y, most.z)) {
      q = vec4(1.0 + most.x, x.y + y.x, z.x + x.z, y.z - z.y);
    } else if (most.y >= most.z) {
      q = vec4(x.y + y.x, 1.0 + most.y, y.z + z.y, z.x - x.z);
    } else {
      q = vec4(z.x + x.z, y.z + z.y, 1.0 + most.z, x.y - y.x);
    }
    return normalize(q);
  }

  void incarnatePlaced(sampler2D discs, sampler2D vertices, int index, inout Gsplat gsplat) {
    ivec2 at = ivec2((index % ${ACROSS}) * ${TEXELS}, index / ${ACROSS});
    vec4 corners = texelFetch(discs, at, 0);
    vec4 own = texelFetch(discs, at + ivec2(1, 0), 0);
    vec4 offset = texelFetch(discs, at + ivec2(2, 0), 0);
    vec4 rgba = texelFetch(discs, at + ivec2(3, 0), 0);
    vec4 place = texelFetch(discs, at + ivec2(4, 0), 0);
    ivec3 v = ivec3(corners.xyz);
    vec3 a = texelFetch(vertices, ivec2(v.x % ${ROW}, v.x / ${ROW}), 0).xyz;
    vec3 b = texelFetch(vertices, ivec2(v.y % ${ROW}, v.y / ${ROW}), 0).xyz;
    vec3 c = texelFetch(vertices, ivec2(v.z % ${ROW}, v.z / ${ROW}), 0).xyz;

    float len = max(length(b - a), 1e-6);
    vec3 x = (b - a) / len;
    vec3 z = cross(b - a, c - a);
    z = length(z) > 1e-12 ? z : cross(x, x.zxy + vec3(0.3, 0.5, 0.7));
    z = normalize(z);
    vec3 y = cross(z, x);
    float along = dot(c - a, x);
    float across = max(dot(c - a, y), 1e-6);
    vec2 first = vec2(len * own.x + along * own.z, across * own.z);
    vec2 second = vec2(len * own.y + along * own.w, across * own.w);
    float xx = first.x * first.x + second.x * second.x;
    float xy = first.x * first.y + second.x * second.y;
    float yy = first.y * first.y + second.y * second.y;
    float middle = 0.5 * (xx + yy);
    float radius = sqrt(0.25 * (xx - yy) * (xx - yy) + xy * xy);
    vec2 scales = sqrt(vec2(middle + radius, max(middle - radius, 1e-14)));
    float spin = radius > 0.0 ? 0.5 * atan(2.0 * xy, xx - yy) : 0.0;

    gsplat.flags = GSPLAT_FLAG_ACTIVE;
    gsplat.index = index;
    gsplat.center = a + place.x * (b - a) + place.y * (c - a)
      + offset.x * x + offset.y * y + offset.z * z;
    gsplat.scales = vec3(clamp(scales, vec2(offset.w), vec2(place.z)), corners.w);
    gsplat.quaternion = incarnateQuat(
      cos(spin) * x + sin(spin) * y, cos(spin) * y - sin(spin) * x, z);
    gsplat.rgba = rgba;
  }
`);

export class Gaussians {
  readonly object: SplatGenerator;
  readonly count: number;
  private readonly vertices: THREE.DataTexture;
  private readonly rig: Rig;

  /** Of a rig that has been posed with nothing: its vertices are those at rest. */
  constructor(pack: Pack, rig: Rig) {
    this.rig = rig;
    const riders = ridden(pack, rig.vertices);
    this.count = pack.shape("offsets")[0];
    this.vertices = texture(padded(rig.vertices, ROW), ROW);
    const discs = texture(padded(riders, TEXELS * ACROSS), TEXELS * ACROSS);
    this.object = new SplatGenerator({
      numSplats: this.count,
      generator: this.placed(discs),
    });
    this.object.frustumCulled = false;
  }

  /** Shows the rig's vertices as they are now. */
  update(): void {
    (this.vertices.image.data as Float32Array).set(this.rig.vertices);
    this.vertices.needsUpdate = true;
    this.object.updateVersion();
  }

  private placed(discs: THREE.DataTexture) {
    const inputs = {
      discs: dyno.dynoSampler2D(discs),
      vertices: dyno.dynoSampler2D(this.vertices),
    };
    const riders = dyno.dyno({
      inTypes: { index: "int", discs: "sampler2D", vertices: "sampler2D" },
      outTypes: { gsplat: dyno.Gsplat },
      globals: () => [dyno.defineGsplat, PLACED],
      statements: ({ inputs, outputs }) => [
        `incarnatePlaced(${inputs.discs}, ${inputs.vertices}, ${inputs.index}, ${outputs.gsplat});`,
      ],
    });
    return dyno.dynoBlock(
      { index: "int" },
      { gsplat: dyno.Gsplat },
      ({ index }) => ({ gsplat: riders.apply({ index, ...inputs }).gsplat }),
    );
  }
}

/** What the shader reads of each Gaussian: corners, thickness; axes in units of its triangle's
 * edges; offset, least scale; colour; barycentrics, largest scale. */
function ridden(pack: Pack, vertices: Float32Array): Float32Array {
  const faces = pack.raw("faces"), counts = pack.raw("counts");
  const barycentrics = pack.floats("barycentrics"), offsets = pack.floats("offsets");
  const spins = pack.floats("spins"), scales = pack.floats("log_scales").map(Math.exp);
  const colors = pack.floats("colors"), opacities = pack.floats("opacities");
  const out = new Float32Array(4 * TEXELS * opacities.length);
  let i = 0;
  for (let face = 0; face < counts.length; face++) {
    const corners = Array.from(faces.subarray(3 * face, 3 * face + 3));
    const [len, along, across] = edges(vertices, corners);
    for (let k = 0; k < counts[face]; k++, i++) {
      const s = scales[3 * i], t = scales[3 * i + 1];
      const cos = Math.cos(spins[i]), sin = Math.sin(spins[i]);
      const low = [(sin * s) / across, (cos * t) / across]; // The inverse is upper triangular too.
      const own = [(cos * s - along * low[0]) / len, (-sin * t - along * low[1]) / len, ...low];
      out.set([...corners, scales[3 * i + 2], ...own], 20 * i);
      out.set(offsets.subarray(3 * i, 3 * i + 3), 20 * i + 8);
      out[20 * i + 11] = Math.min(s, t) / MAX_STRETCH;
      out.set(colors.subarray(3 * i, 3 * i + 3), 20 * i + 12);
      out[20 * i + 15] = opacities[i];
      out.set(barycentrics.subarray(2 * i, 2 * i + 2), 20 * i + 16);
      out[20 * i + 18] = Math.max(s, t) * MAX_STRETCH;
    }
  }
  return out;
}

/** A triangle's first edge, and its second one along that and across. */
function edges(vertices: Float32Array, corners: number[]): [number, number, number] {
  const [a, b, c] = corners.map((v) => new THREE.Vector3().fromArray(vertices, 4 * v));
  const first = b.sub(a), second = c.sub(a);
  const len = Math.max(first.length(), 1e-6);
  const x = first.clone().divideScalar(len);
  const across = x.clone().cross(second).length();
  return [len, second.dot(x), Math.max(across, 1e-6)];
}

function padded(numbers: Float32Array, row: number): Float32Array<ArrayBuffer> {
  const whole = new Float32Array(Math.ceil(numbers.length / (4 * row)) * 4 * row);
  whole.set(numbers);
  return whole;
}

function texture(numbers: Float32Array<ArrayBuffer>, row: number): THREE.DataTexture {
  const made = new THREE.DataTexture(
    numbers, row, numbers.length / (4 * row), THREE.RGBAFormat, THREE.FloatType,
  );
  made.needsUpdate = true;
  return made;
}
