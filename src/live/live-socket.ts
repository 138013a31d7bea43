/** What a mailbox carries: which run moved, and how far. It says nothing else, so it may come late, twice or never. */
export interface LiveMessage {
  readonly type: 'pgflow';
  readonly runId: string;
  readonly seq: number;
}

/**
 * What a live view gives its code. Any runtime's socket fits, if it holds assigns and takes new ones.
 *
 * - `assign(values)` sets assigns. It may change the socket, or return a new one.
 * - `sendInfo(message)`: the mailbox, if there is one. The runtime gives each message to the view's
 *   `handleInfo`. Without it changes are assigned by themselves.
 * - `connected`: false in the first, static mount.
 * - `onClose(fn)`: calls `fn` once when the socket is gone, and at once if it is gone already.
 */
export interface LiveSocket {
  readonly assigns: Readonly<Record<string, any>>;
  assign(values: Record<string, any>): unknown;
  sendInfo?(message: LiveMessage): unknown;
  readonly connected?: boolean;
  /** Must call `fn` at once where the socket is closed already: else LiveClient cannot release what it holds. */
  onClose?(fn: () => void): unknown;
}

/** Assigns, and returns the socket to go on with. A closed socket may refuse: then nothing is assigned. */
export function assignTo<S extends LiveSocket>(socket: S, values: Record<string, unknown>): S {
  const result = quietly(() => socket.assign(values));
  return isSocket(result) ? (result as S) : socket;
}

/** Calls into the runtime's socket. What that throws, at once or later, harms nobody else and is its own affair. */
export function quietly(fn: () => unknown): unknown {
  try {
    const result = fn();
    if (result instanceof Promise) result.catch(() => {});
    return result;
  } catch {
    return undefined;
  }
}

function isSocket(value: unknown): value is LiveSocket {
  return (
    typeof value === 'object' && value !== null && 'assign' in value && typeof value.assign === 'function'
  );
}
