/** What a page holds of its avatar: named arrays in safetensors' layout, gzipped, as base64.
 *
 * Quantized arrays are unsigned integers between the two numbers that `ranges` names for them.
 */

export type Numbers = Float32Array | Uint8Array | Uint16Array | Int16Array | Int32Array;

export interface Clip {
  name: string;
  fps: number;
  frames: number;
  /** Whether its mouth says something: the photo's smile then leaves the lips. */
  speaks: boolean;
  /** The number of its sound, or -1. */
  sound: number;
}

/** What a view shows: the middle, and metres across and up. */
export interface View {
  center: [number, number, number];
  span: [number, number];
}

export type Framing = "full" | "upper" | "head";

export interface Facts {
  title: string;
  notice: string;
  shapes: string[];
  ranges: Record<string, [number, number]>;
  poses: string[];
  expressions: string[];
  clips: Clip[];
  views: Record<Framing, View>;
  /** What the page shows first. */
  view: Framing;
}

const KINDS = {
  F32: Float32Array,
  U8: Uint8Array,
  U16: Uint16Array,
  I16: Int16Array,
  I32: Int32Array,
} as const;

interface Entry {
  dtype: keyof typeof KINDS;
  shape: number[];
  data_offsets: [number, number];
}

export class Pack {
  readonly facts: Facts;
  private readonly entries: Record<string, Entry>;
  private readonly body: ArrayBuffer;

  /** Reads the bytes of a safetensors file whose metadata has the facts as JSON. */
  constructor(bytes: ArrayBuffer) {
    const length = Number(new DataView(bytes).getBigUint64(0, true));
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
    this.facts = JSON.parse(head.__metadata__.facts);
    this.entries = head;
    this.body = bytes.slice(8 + length); // Copied, so that every array begins where it may.
  }

  shape(name: string): number[] {
    return this.entry(name).shape;
  }

  /** The numbers as they are stored. */
  raw(name: string): Numbers {
    const { dtype, data_offsets: [start, end] } = this.entry(name);
    const kind = KINDS[dtype];
    return new kind(this.body, start, (end - start) / kind.BYTES_PER_ELEMENT);
  }

  /** The numbers, those that are quantized as what they stand for. */
  floats(name: string): Float32Array {
    const raw = this.raw(name);
    const range = this.facts.ranges[name];
    if (!range) return Float32Array.from(raw);
    const step = (range[1] - range[0]) / (raw.BYTES_PER_ELEMENT === 1 ? 255 : 65535);
    return Float32Array.from(raw, (value) => range[0] + value * step);
  }

  private entry(name: string): Entry {
    const entry = this.entries[name];
    if (!entry) throw new Error(`the page has no ${name}`);
    return entry;
  }
}

/** The bytes that an element of the page holds as base64. */
export async function embedded(element: HTMLElement): Promise<ArrayBuffer> {
  const text = atob((element.textContent ?? "").trim());
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  if (element.dataset.packed !== "gzip") return bytes.buffer;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
