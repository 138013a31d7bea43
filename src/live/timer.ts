/** One for all: a closure of its own would be 64 bytes in each run. */
export const nothing = (): void => {};

/** Calls `fn` once after so many milliseconds, unless stopped. It does not keep the process alive. */
export function after(ms: number, fn: () => void): () => void {
  const timer = setTimeout(fn, ms);
  timer.unref?.();
  return () => clearTimeout(timer);
}

/** A pause that doubles with each failure, half of it chance: those who failed together do not come back together. */
export function retryPause(shortest: number, longest: number, failures: number): number {
  const pause = Math.min(shortest * 2 ** failures, longest);
  return pause / 2 + (Math.random() * pause) / 2;
}
