import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Frame, OPCODE, ProtocolError, readFrame, writeFrame } from './frames.js';

/** Bytes that a message from a page may have. */
const LONGEST = 64 * 1024;
/** Milliseconds that a peer has to answer our close. */
const CLOSING = 2_000;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * The server's end of a WebSocket (RFC 6455) that carries text. A message that is too long, or bytes that are no
 * WebSocket, close it.
 *
 * Modes: `open → closed`. Closed, it sends nothing and tells nothing more.
 */
export class WebSocket {
  onText: (text: string) => void = () => {};
  /** What was written is on its way, and more can be sent. */
  onDrain: () => void = () => {};
  /** Called once, however it ended. */
  onClose: () => void = () => {};
  #mode: 'open' | 'closed' = 'open';
  readonly #stream: Duplex;
  #unread: Buffer = Buffer.alloc(0);
  /** What there is of a message that comes in several frames. */
  #begun: Buffer | null = null;

  /** Answers the request to upgrade; null where it was refused. */
  static accept(request: IncomingMessage, stream: Duplex, head: Buffer): WebSocket | null {
    stream.on('error', () => stream.destroy());
    const key = request.headers['sec-websocket-key'];
    if (!key || request.headers['sec-websocket-version'] !== '13' || !isFromHere(request)) {
      stream.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return null;
    }
    const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
    stream.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    return new WebSocket(stream, head);
  }

  private constructor(stream: Duplex, head: Buffer) {
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => this.#read(bytes));
    stream.on('drain', () => this.onDrain());
    stream.on('end', () => this.terminate());
    stream.on('close', () => this.#enter('closed'));
    if (head.length > 0) stream.unshift(head);
  }

  /** Whether the peer takes what it is sent; else wait for `onDrain`. */
  get isReady(): boolean {
    return this.#mode === 'open' && !this.#stream.writableNeedDrain;
  }

  send(text: string): void {
    if (this.#mode === 'open') this.#stream.write(writeFrame(OPCODE.text, Buffer.from(text)));
  }

  close(code: number): void {
    if (this.#mode === 'closed') return;
    this.#stream.end(writeFrame(OPCODE.close, Buffer.from([code >> 8, code & 0xff])));
    const impatience = setTimeout(() => this.#stream.destroy(), CLOSING);
    this.#stream.once('close', () => clearTimeout(impatience));
    this.#enter('closed');
  }

  /** Ends it without a word, for a peer that does not hear any. */
  terminate(): void {
    this.#stream.destroy();
    this.#enter('closed');
  }

  #read(bytes: Buffer): void {
    if (this.#mode === 'closed') return;
    this.#unread = Buffer.concat([this.#unread, bytes]);
    try {
      let read = readFrame(this.#unread, LONGEST);
      while (read !== null && this.#mode === 'open') {
        this.#unread = read.rest;
        this.#take(read.frame);
        read = readFrame(this.#unread, LONGEST);
      }
    } catch (error) {
      this.close(error instanceof ProtocolError ? error.code : 1011);
    }
  }

  #take({ opcode, isFinal, payload }: Frame): void {
    if (opcode === OPCODE.close) this.close(1000);
    else if (opcode === OPCODE.ping) this.#stream.write(writeFrame(OPCODE.pong, payload));
    else if (opcode !== OPCODE.pong) this.#takePart(opcode, isFinal, payload);
  }

  #takePart(opcode: number, isFinal: boolean, payload: Buffer): void {
    if (opcode === OPCODE.binary) throw new ProtocolError(1003, 'Text only');
    if (opcode !== (this.#begun === null ? OPCODE.text : OPCODE.continuation)) {
      throw new ProtocolError(1002, `Frame ${opcode} has no place here`);
    }
    const message = this.#begun === null ? payload : Buffer.concat([this.#begun, payload]);
    if (message.length > LONGEST) throw new ProtocolError(1009, `A message has at most ${LONGEST} bytes`);
    this.#begun = isFinal ? null : message;
    if (isFinal) this.onText(textOf(message));
  }

  #enter(mode: 'closed'): void {
    if (this.#mode === mode) return;
    this.#mode = mode;
    this.onClose();
  }
}

/** Any page may open a WebSocket to any server, so the one that asks must be ours. Other programs name no origin. */
function isFromHere({ headers: { origin, host } }: IncomingMessage): boolean {
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ProtocolError(1007, 'Text is UTF-8');
  }
}
