/** What three.js and three-vrm make of a .glb or .vrm, for the tests to ask. */

import { VRMLoaderPlugin, type VRM } from "@pixiv/three-vrm";
import * as THREE from "three";
import { GLTFLoader, type GLTF } from "three/addons/loaders/GLTFLoader.js";

let gltf: GLTF;
let vrm: VRM | undefined;

function skinned(): THREE.SkinnedMesh {
  let found: THREE.SkinnedMesh | undefined;
  gltf.scene.traverse((node) => {
    if (node instanceof THREE.SkinnedMesh) found ??= node;
  });
  if (!found) throw new Error("no skinned mesh");
  return found;
}

const models = {
  /** Reads a file; what it holds, by name. */
  async load(base64: string) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const loader = new GLTFLoader();
    loader.register((parser) => new VRMLoaderPlugin(parser));
    gltf = await loader.parseAsync(bytes.buffer, "");
    vrm = gltf.userData.vrm;
    return {
      bones: skinned().skeleton.bones.map((bone) => bone.name),
      shapes: Object.keys(skinned().morphTargetDictionary ?? {}),
      clips: gltf.animations.map((clip) => clip.name),
      humanoid: vrm ? Object.keys(vrm.humanoid.humanBones) : [],
      expressions: vrm ? vrm.expressionManager!.expressions.map((one) => one.expressionName) : [],
    };
  },

  /** All vertices at a second of a clip, or at rest. */
  frame(clip: number, second: number): number[] {
    const mixer = new THREE.AnimationMixer(gltf.scene);
    if (clip >= 0) mixer.clipAction(gltf.animations[clip]).play();
    mixer.setTime(second);
    return models.vertices();
  },

  shape(name: string, weight: number): number[] {
    const mesh = skinned();
    mesh.morphTargetInfluences!.fill(0);
    mesh.morphTargetInfluences![mesh.morphTargetDictionary![name]] = weight;
    return models.vertices();
  },

  /** Turns a bone of the VRM's normalized rig about z, and shows an expression. */
  vrm(bone: string, angle: number, expression: string, weight: number): number[] {
    vrm!.humanoid.getNormalizedBoneNode(bone as never)!.rotation.z = angle;
    vrm!.expressionManager!.setValue(expression, weight);
    vrm!.update(1 / 60);
    return models.vertices();
  },

  vertices(): number[] {
    gltf.scene.updateMatrixWorld(true);
    const mesh = skinned(), at = new THREE.Vector3(), out: number[] = [];
    mesh.skeleton.update();
    for (let v = 0; v < mesh.geometry.attributes.position.count; v++)
      out.push(...mesh.getVertexPosition(v, at).applyMatrix4(mesh.matrixWorld).toArray());
    return out;
  },

  /** Draws it by degrees to its left, as it is, before grey. */
  draw(azimuth: number): void {
    const canvas = document.querySelector("canvas")!;
    const renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
    const camera = new THREE.PerspectiveCamera(24, canvas.width / canvas.height, 0.05, 50);
    const scene = new THREE.Scene();
    scene.background = new THREE.Color("#e8e8e8");
    scene.add(gltf.scene, new THREE.HemisphereLight("#ffffff", "#888888", 3));
    const angle = (azimuth * Math.PI) / 180;
    camera.position.set(5 * Math.sin(angle), 0.95, 5 * Math.cos(angle));
    camera.lookAt(0, 0.9, 0);
    renderer.render(scene, camera);
  },
};

(window as unknown as { models: typeof models }).models = models;
