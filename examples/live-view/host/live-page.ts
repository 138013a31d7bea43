import { setImmediate } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import type { Html } from './html.js';
import type { Values, View, ViewSocket } from './view.js';

/**
 * One visitor's page: its assigns, and a mailbox whose entries are handled one at a time, in order.
 *
 * Modes: `mounting → open → closed`. Only open it is drawn; closed, it handles nothing more.
 */
export class LivePage implements ViewSocket {
  readonly assigns: Record<string, any> = {};
  readonly #view: View;
  readonly #webSocket: WebSocket | null;
  #mode: 'mounting' | 'open' | 'closed' = 'mounting';
  #mailbox: Promise<void> = Promise.resolve();
  #drawing: Promise<void> = Promise.resolve();
  #isDrawingDue = false;
  #shown = '';
  readonly #closing: (() => void)[] = [];

  /** Without a WebSocket it is never open. */
  constructor(view: View, webSocket: WebSocket | null) {
    this.#view = view;
    this.#webSocket = webSocket;
  }

  get connected(): boolean {
    return this.#webSocket !== null;
  }

  open(params: Values): void {
    this.#post(async () => {
      await this.#view.mount(params, this);
      if (this.#mode === 'mounting') this.#enter('open');
    });
  }

  assign(values: Record<string, unknown>): void {
    if (this.#mode === 'closed') return;
    Object.assign(this.assigns, values);
    this.#drawSoon();
  }

  sendInfo(message: unknown): void {
    this.#post(() => this.#view.handleInfo(message, this));
  }

  handleEvent(name: string, value: Values): void {
    this.#post(() => this.#view.handleEvent(name, value, this));
  }

  setParams(params: Readonly<Record<string, string | null>>): void {
    if (this.#mode !== 'closed') this.#webSocket?.send(JSON.stringify({ params }));
  }

  onClose(fn: () => void): void {
    // A view that is still at work when its page goes may ask only now.
    if (this.#mode === 'closed') fn();
    else this.#closing.push(fn);
  }

  close(): void {
    if (this.#mode !== 'closed') this.#enter('closed');
  }

  #post(work: () => unknown): void {
    this.#mailbox = this.#mailbox.then(async () => {
      try {
        if (this.#mode !== 'closed') await work();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  /** Several assigns in a row are one drawing, and so are all that come before the last drawing was sent. */
  #drawSoon(): void {
    if (this.#mode !== 'open' || this.#isDrawingDue) return;
    this.#isDrawingDue = true;
    this.#drawing = this.#drawing.then(setImmediate).then(() => this.#draw());
  }

  async #draw(): Promise<void> {
    this.#isDrawingDue = false;
    if (this.#mode !== 'open') return;
    try {
      const { markup } = this.#view.render(this.assigns);
      if (markup === this.#shown) return;
      this.#shown = markup;
      const drawing = JSON.stringify({ html: markup });
      await new Promise((resolve) => this.#webSocket?.send(drawing, resolve));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    console.error(error);
    this.close();
    this.#webSocket?.close(1011);
  }

  #enter(mode: 'open' | 'closed'): void {
    this.#mode = mode;
    if (mode === 'open') this.#drawSoon();
    else for (const fn of this.#closing.splice(0)) fn();
  }
}

/** The page as it is now, for whoever asks once. */
export async function renderOnce(view: View, params: Values): Promise<Html> {
  const page = new LivePage(view, null);
  try {
    await view.mount(params, page);
    return view.render(page.assigns);
  } finally {
    page.close();
  }
}
