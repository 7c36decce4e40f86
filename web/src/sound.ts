/** Sounds of the page, sounds dropped on it and the microphone: one that is heard at a time. */

const WINDOW = 1024; // Samples that the light driver looks at.

/** A sound file as the clock of what moves. */
export class Sound {
  readonly element: HTMLAudioElement;

  constructor(bytes: Blob) {
    this.element = new Audio(URL.createObjectURL(bytes));
    this.element.preload = "auto";
  }

  get second(): number {
    return this.element.currentTime;
  }

  /** Whether it plays: browsers keep pages silent until somebody touches them. */
  async play(from: number): Promise<boolean> {
    this.element.currentTime = from;
    try {
      await this.element.play();
      return true;
    } catch {
      return false;
    }
  }

  stop(): void {
    this.element.pause();
  }
}

/** What is being heard, as numbers. */
export class Ear {
  readonly samples: Float32Array<ArrayBuffer>;
  readonly spectrum: Float32Array<ArrayBuffer>;
  private readonly analyser: AnalyserNode;
  private stream?: MediaStream;

  private constructor(context: AudioContext, source: AudioNode) {
    this.analyser = new AnalyserNode(context, { fftSize: WINDOW, smoothingTimeConstant: 0 });
    source.connect(this.analyser);
    this.samples = new Float32Array(WINDOW);
    this.spectrum = new Float32Array(this.analyser.frequencyBinCount);
  }

  /** Listens to a sound that plays. */
  static of(sound: Sound): Ear {
    const context = new AudioContext();
    const source = context.createMediaElementSource(sound.element);
    source.connect(context.destination);
    return new Ear(context, source);
  }

  /** Listens to the microphone; the browser asks whether it may. */
  static async ofMicrophone(): Promise<Ear> {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext();
    const ear = new Ear(context, context.createMediaStreamSource(stream));
    ear.stream = stream;
    return ear;
  }

  get sampleRate(): number {
    return this.analyser.context.sampleRate;
  }

  listen(): void {
    this.analyser.getFloatTimeDomainData(this.samples);
    this.analyser.getFloatFrequencyData(this.spectrum);
  }

  close(): void {
    this.stream?.getTracks().forEach((track) => track.stop());
    void (this.analyser.context as AudioContext).close();
  }
}
