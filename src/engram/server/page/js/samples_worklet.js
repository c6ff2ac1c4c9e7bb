/** Runs in the browser's audio thread: hands on what is heard, one channel, 2,048 samples at a time. */

class Samples extends AudioWorkletProcessor {
  part = new Float32Array(2048);
  filled = 0;

  process([[channel]]) {
    if (!channel) return true;
    this.part.set(channel, this.filled);
    this.filled += channel.length;
    if (this.filled === this.part.length) {
      this.port.postMessage(this.part.slice());
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("samples", Samples);
