/** A face that follows sound by its loudness and colour alone, from one moment to the next.
 *
 * Lighter than incarnate's own speech, which hears sounds and plans the lips' way between them: this
 * one opens the jaw with energy, rounds the lips where lows rule, spreads them where highs do, and
 * closes the teeth on hissing.
 */

const BANDS = [
  [80, 400],
  [400, 1000],
  [1000, 3000],
  [3500, 8000],
] as const;
const QUIET = 0.004; // Amplitude below which nobody speaks.
const RISE = 25; // A second: how quickly weights follow upwards, and downwards.
const FALL = 14;

export class Voice {
  private loudest = 0.05;
  private readonly shown = new Map<string, number>();
  private readonly powers = new Float32Array(BANDS.length);

  /** What the sound of this moment does to the face, by shapes' names.
   *
   * `spectrum` holds decibels of evenly spaced frequencies up to half the rate, `samples` the last
   * few hundredths of a second.
   */
  heard(
    samples: Float32Array, spectrum: Float32Array, sampleRate: number, seconds: number,
  ): ReadonlyMap<string, number> {
    const energy = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    const amplitude = Math.sqrt(energy);
    this.loudest = Math.max(amplitude, 0.05, this.loudest * Math.exp(-seconds / 8));
    const loud = amplitude < QUIET ? 0 : Math.min(1, amplitude / (0.6 * this.loudest));
    for (const [name, value] of Object.entries(this.wanted(loud, spectrum, sampleRate))) {
      const from = this.shown.get(name) ?? 0;
      const share = 1 - Math.exp(-seconds * (value > from ? RISE : FALL));
      this.shown.set(name, from + share * (value - from));
    }
    return this.shown;
  }

  private wanted(loud: number, spectrum: Float32Array, sampleRate: number) {
    const width = sampleRate / 2 / spectrum.length;
    this.powers.fill(1e-12);
    BANDS.forEach(([low, high], band) => {
      const end = Math.min(Math.round(high / width), spectrum.length);
      for (let k = Math.round(low / width); k < end; k++)
        if (spectrum[k] > -200) this.powers[band] += 10 ** (spectrum[k] / 10);
    });
    const [low, middle, high, hiss] = this.powers;
    const voiced = low + middle + high;
    const hissing = hiss / (voiced + hiss);
    const open = middle / (low + middle), round = (low + middle) / voiced, wide = high / voiced;
    const vowel = loud * (1 - Math.min(1, 1.5 * hissing));
    return {
      jawOpen: vowel * (0.25 + 0.45 * open),
      mouthFunnel: 0.5 * vowel * round * (1 - open),
      mouthPucker: 0.4 * vowel * Math.max(0, round - 0.9) * 10 * (1 - open),
      mouthStretchLeft: 0.35 * vowel * wide + 0.3 * loud * hissing,
      mouthStretchRight: 0.35 * vowel * wide + 0.3 * loud * hissing,
      mouthLowerDownLeft: 0.4 * vowel + 0.3 * loud * hissing,
      mouthLowerDownRight: 0.4 * vowel + 0.3 * loud * hissing,
      mouthUpperUpLeft: 0.2 * vowel + 0.2 * loud * hissing,
      mouthUpperUpRight: 0.2 * vowel + 0.2 * loud * hissing,
      browInnerUp: 0.25 * Math.max(0, loud - 0.6),
    };
  }
}

/** How far the lids are closed at a second, for eyes that blink every few seconds. */
export function blink(second: number): number {
  const turn = Math.floor(second / 4);
  const start = 4 * turn + 1 + 2 * fraction(turn);
  const since = second - start;
  return since < 0 || since > 0.3 ? 0 : Math.min(1, since < 0.1 ? since / 0.08 : (0.3 - since) / 0.18);
}

function fraction(number: number): number {
  const wild = Math.sin(12.9898 * (number + 1)) * 43758.5453;
  return wild - Math.floor(wild);
}
