export interface Signal<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
}

/** What a test waits for, and what gives it the word. */
export function createSignal<T = void>(): Signal<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
