// SHA-256 (FIPS 180-4) of a string's UTF-8, at once: that of the platform gives a promise, and in
// browsers only over HTTPS.

const K = wordsOf(`
  428a2f98 71374491 b5c0fbcf e9b5dba5 3956c25b 59f111f1 923f82a4 ab1c5ed5
  d807aa98 12835b01 243185be 550c7dc3 72be5d74 80deb1fe 9bdc06a7 c19bf174
  e49b69c1 efbe4786 0fc19dc6 240ca1cc 2de92c6f 4a7484aa 5cb0a9dc 76f988da
  983e5152 a831c66d b00327c8 bf597fc7 c6e00bf3 d5a79147 06ca6351 14292967
  27b70a85 2e1b2138 4d2c6dfc 53380d13 650a7354 766a0abb 81c2c92e 92722c85
  a2bfe8a1 a81a664b c24b8b70 c76c51a3 d192e819 d6990624 f40e3585 106aa070
  19a4c116 1e376c08 2748774c 34b0bcb5 391c0cb3 4ed8aa4a 5b9cca4f 682e6ff3
  748f82ee 78a5636f 84c87814 8cc70208 90befffa a4506ceb bef9a3f7 c67178f2
`)
const START = wordsOf(`
  6a09e667 bb67ae85 3c6ef372 a54ff53a 510e527f 9b05688c 1f83d9ab 5be0cd19
`)

const encoder = new TextEncoder()
const state = new Int32Array(8)
const words = new Int32Array(64)
let buffer = new Uint8Array(1024)

/**
 * The hash, as 8 words of 32 bits with a sign. They are overwritten by the next call.
 *
 * @param {string} text
 * @returns {Int32Array}
 */
export function sha256(text) {
  const room = 3 * text.length + 72 // the longest UTF-8, and the padding
  if (buffer.length < room) buffer = new Uint8Array(2 * room)
  const { written } = encoder.encodeInto(text, buffer)
  const end = (written + 72) & ~63
  buffer.fill(0, written, end)
  buffer[written] = 0x80
  const bits = 8 * written // a string is shorter than 2**29 bytes in all engines
  for (let at = 1; at <= 4; at++) buffer[end - at] = bits >>> (8 * (at - 1))
  state.set(START)
  for (let at = 0; at < end; at += 64) takeBlock(at)
  // One long text must not keep its memory for ever.
  if (buffer.length > 1 << 20) buffer = new Uint8Array(1024)
  return state
}

/** @param {number} from */
function takeBlock(from) {
  const w = words
  for (let i = 0, at = from; i < 16; i++, at += 4) {
    w[i] = (buffer[at] << 24) | (buffer[at + 1] << 16) | (buffer[at + 2] << 8) | buffer[at + 3]
  }
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15]
    const y = w[i - 2]
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0
  }
  let a = state[0]
  let b = state[1]
  let c = state[2]
  let d = state[3]
  let e = state[4]
  let f = state[5]
  let g = state[6]
  let h = state[7]
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  state[0] += a
  state[1] += b
  state[2] += c
  state[3] += d
  state[4] += e
  state[5] += f
  state[6] += g
  state[7] += h
}

/** @param {string} hexadecimal */
function wordsOf(hexadecimal) {
  return Int32Array.from(hexadecimal.trim().split(/\s+/), (word) => parseInt(word, 16))
}
