/** The picture: one avatar before a plain ground, a camera that walks round it. */

import { SparkRenderer } from "@sparkjsdev/spark";
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

import type { Gaussians } from "./gaussians";
import type { View } from "./pack";

const FOV = (0.42 * 180) / Math.PI; // Degrees; as incarnate's own cameras.
const ROOM = 1.12;
const MOST_RATIO = 2; // Pixels a point: more only costs.

export class Stage {
  readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  readonly camera = new THREE.PerspectiveCamera(FOV, 1, 0.05, 50);
  readonly controls: OrbitControls;
  readonly shadow = shadow();
  view: View;
  private stale = true;

  constructor(canvas: HTMLCanvasElement, gaussians: Gaussians, view: View) {
    this.view = view;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: false });
    // As incarnate draws: near to far along the view, 0.3 square pixels of blur.
    const spark = new SparkRenderer({
      renderer: this.renderer,
      accumExtSplats: true,
      sortRadial: false,
      preBlurAmount: 0.3,
      blurAmount: 0,
      maxStdDev: Math.sqrt(10),
      onDirty: () => (this.stale = true),
    });
    this.scene.add(spark, gaussians.object, this.shadow);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = true;
    this.controls.minDistance = 0.3;
    this.controls.maxDistance = 12;
    this.controls.maxPolarAngle = 0.62 * Math.PI;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.look(view);
  }

  set ground(color: string) {
    this.scene.background = new THREE.Color(color);
  }

  set turning(on: boolean) {
    this.controls.autoRotate = on;
  }

  /** Fits a view into the picture, from the front or from degrees to the person's left. */
  look(view: View, azimuth = 0): void {
    this.view = view;
    const [x, y, z] = view.center;
    const tall = Math.max(view.span[1], view.span[0] / this.camera.aspect);
    const distance = (ROOM * tall) / 2 / Math.tan((FOV * Math.PI) / 360) + view.span[0] / 3;
    const angle = (azimuth * Math.PI) / 180;
    this.controls.target.set(x, y, z);
    this.camera.position.set(x + distance * Math.sin(angle), y, z + distance * Math.cos(angle));
    this.controls.update();
    this.stale = true;
  }

  /** Draws what has changed: `moved` says that the person has. Telephones stay cool. */
  draw(moved: boolean): void {
    const turned = this.controls.update();
    if (!moved && !turned && !this.stale) return;
    this.stale = false;
    this.renderer.render(this.scene, this.camera);
  }

  private resize(): void {
    const canvas = this.renderer.domElement;
    const width = canvas.clientWidth || 1, height = canvas.clientHeight || 1;
    const before = this.camera.aspect;
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, MOST_RATIO));
    this.renderer.setSize(width, height, false);
    this.stale = true;
    // A telephone that is turned: what filled the picture fills it again.
    if (before < 1 !== this.camera.aspect < 1) this.look(this.view);
  }
}

/** Where the feet stand. */
function shadow(): THREE.Mesh {
  const size = 128;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const paint = canvas.getContext("2d")!;
  const fade = paint.createRadialGradient(size / 2, size / 2, 0, size / 2, size / 2, size / 2);
  fade.addColorStop(0, "rgba(0,0,0,0.35)");
  fade.addColorStop(0.5, "rgba(0,0,0,0.12)");
  fade.addColorStop(1, "rgba(0,0,0,0)");
  paint.fillStyle = fade;
  paint.fillRect(0, 0, size, size);
  const disc = new THREE.Mesh(
    new THREE.PlaneGeometry(1.1, 1.1),
    new THREE.MeshBasicMaterial({
      map: new THREE.CanvasTexture(canvas), transparent: true, depthWrite: false,
    }),
  );
  disc.rotation.x = -Math.PI / 2;
  disc.renderOrder = -1;
  return disc;
}
