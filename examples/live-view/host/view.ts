import type { Html } from './html.js';

/** What an event or an address carries. All of it comes from outside. */
export type Values = Readonly<Record<string, string | undefined>>;

/**
 * A page whose state lives on the server. It is mounted twice: for the HTML that is served first, then over the
 * page's WebSocket. The calls for one socket come one at a time; whatever a call throws closes the page, which then
 * mounts anew.
 */
export interface View {
  readonly title: string;
  mount(params: Values, socket: ViewSocket): unknown;
  handleEvent(name: string, value: Values, socket: ViewSocket): unknown;
  handleInfo(message: unknown, socket: ViewSocket): unknown;
  render(assigns: any): Html;
}

/** One page of one visitor, as its view sees it. */
export interface ViewSocket {
  readonly assigns: Readonly<Record<string, any>>;
  /** False while the HTML that is served first is made. */
  readonly connected: boolean;
  /** Sets some assigns. The page is drawn soon. */
  assign(values: Record<string, unknown>): void;
  /** Puts a message into the mailbox; `handleInfo` gets it after all that came before. */
  sendInfo(message: unknown): void;
  /** Sets parameters of the page's address, or takes out those that are null: the next mount gets them. */
  setParams(params: Readonly<Record<string, string | null>>): void;
  /** Calls `fn` once when the page is gone, however it went, and at once where it is gone already. */
  onClose(fn: () => void): void;
}
