import { on } from 'node:events';
import { WebSocket } from 'ws';

/** A page's WebSocket without the page. */
export interface PageSocket {
  /** The next text that came. */
  text(): Promise<string>;
  /** What the server closed it with. */
  readonly closeCode: Promise<number>;
  send(data: string): void;
  /** Reads nothing more, until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends it in good order, after all that was sent. */
  close(): void;
  /** Ends it without a word. */
  terminate(): void;
}

/** Rejects with the status where the server does not upgrade. */
export async function openSocket(url: string, { origin }: { origin?: string } = {}): Promise<PageSocket> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { origin });
  const texts = on(socket, 'message');
  const closeCode = new Promise<number>((resolve) => socket.once('close', resolve));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  return {
    text: async () => String((await texts.next()).value[0]),
    closeCode,
    send: (data) => socket.send(data),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.close(),
    terminate: () => socket.terminate(),
  };
}
