// A picture from the camera: the phone's own, or a live view where the browser gives one.

import { byId, toast } from "/assets/dom.js";

/** Asks for a picture; `done` gets it as a blob. */
export async function takePicture(done) {
  const touch = matchMedia("(pointer: coarse)").matches;
  if (touch || !navigator.mediaDevices?.getUserMedia) {
    byId("capture").click();
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    toast("No camera can be used here. Choose a picture instead.");
    return;
  }
  const dialog = byId("camera-dialog");
  const video = byId("video");
  video.srcObject = stream;
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  dialog.addEventListener("close", stop, { once: true });
  byId("shutter").onclick = () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      if (blob) done(blob);
    }, "image/jpeg", 0.92);
  };
  dialog.showModal();
}
