import { Html } from './html.js';
import type { Values, View, ViewSocket } from './view.js';

/** Where a page is shown. */
export interface Screen {
  /** Whether it takes another drawing now; when it does again, `LivePage.draw` is to be called. */
  readonly isReady: boolean;
  show(markup: string): void;
  setParams(params: Readonly<Record<string, string | null>>): void;
  /** The view threw: nothing more comes. */
  fail(error: unknown): void;
}

/**
 * One visitor's page: its assigns, and a mailbox whose entries are handled one at a time, in order.
 *
 * Modes: `mounting → open → closed`. Only open it is drawn; closed, it handles nothing more.
 */
export class LivePage implements ViewSocket {
  readonly assigns: Record<string, any> = {};
  readonly connected: boolean;
  #mode: 'mounting' | 'open' | 'closed' = 'mounting';
  readonly #view: View;
  readonly #screen: Screen;
  readonly #closing: (() => void)[] = [];
  #mailbox: Promise<void>;
  #isDrawingDue = false;
  #shown = '';

  constructor(view: View, params: Values, { connected, screen }: { connected: boolean; screen: Screen }) {
    this.connected = connected;
    this.#view = view;
    this.#screen = screen;
    // Not at once: whoever makes the page must have it before its view has a say.
    this.#mailbox = Promise.resolve();
    this.#post(async () => {
      await view.mount(params, this);
      if (this.#mode === 'mounting') this.#enter('open');
    });
  }

  /** Resolves when all that is in the mailbox now was handled. */
  get handled(): Promise<void> {
    return this.#mailbox;
  }

  assign(values: Record<string, unknown>): void {
    if (this.#mode === 'closed') return;
    Object.assign(this.assigns, values);
    if (this.#isDrawingDue) return;
    this.#isDrawingDue = true;
    // Soon, not now: several assigns in a row are one drawing.
    setImmediate(() => this.draw());
  }

  sendInfo(message: unknown): void {
    this.#post(() => this.#view.handleInfo(message, this));
  }

  handleEvent(name: string, value: Values): void {
    this.#post(() => this.#view.handleEvent(name, value, this));
  }

  setParams(params: Readonly<Record<string, string | null>>): void {
    if (this.#mode !== 'closed') this.#screen.setParams(params);
  }

  onClose(fn: () => void): void {
    // A view that is still at work when its page goes may ask only now.
    if (this.#mode === 'closed') fn();
    else this.#closing.push(fn);
  }

  /** Shows what the assigns are now, unless it is what is shown already. */
  draw(): void {
    if (this.#mode !== 'open' || !this.#screen.isReady) return;
    this.#isDrawingDue = false;
    try {
      const { markup } = this.#view.render(this.assigns);
      if (markup === this.#shown) return;
      this.#shown = markup;
      this.#screen.show(markup);
    } catch (error) {
      this.#screen.fail(error);
    }
  }

  close(): void {
    if (this.#mode !== 'closed') this.#enter('closed');
  }

  #post(work: () => unknown): void {
    this.#mailbox = this.#mailbox.then(async () => {
      try {
        if (this.#mode !== 'closed') await work();
      } catch (error) {
        this.#screen.fail(error);
      }
    });
  }

  #enter(mode: 'open' | 'closed'): void {
    this.#mode = mode;
    if (mode === 'open') this.draw();
    else for (const fn of this.#closing.splice(0)) fn();
  }
}

/** The page as it is now, for whoever asks once. */
export async function renderOnce(view: View, params: Values): Promise<Html> {
  const shown: string[] = [];
  const failures: unknown[] = [];
  const screen: Screen = {
    isReady: true,
    show: (markup) => void shown.push(markup),
    setParams: () => {},
    fail: (error) => void failures.push(error),
  };
  const page = new LivePage(view, params, { connected: false, screen });
  await page.handled;
  page.close();
  if (failures.length > 0) throw failures[0];
  return new Html(shown.at(-1)!);
}
