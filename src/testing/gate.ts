/**
 * A promise that whoever holds it opens: handlers wait at it until the test lets them pass, and tests wait for
 * what a handler tells. It stays open; opening it again changes nothing.
 *
 * @example
 * const bank = gate<{ paid: number }>();
 * const charge = defineJob({ slug: 'charge' }, () => bank);
 * …
 * bank.open({ paid: 20 });
 */
export interface Gate<T = void> extends Promise<T> {
  /** Lets all pass who wait or will wait. They get the value. */
  open(value: T): void;
}

/** Makes a gate, closed. See `Gate`. */
export function gate<T = void>(): Gate<T> {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return Object.assign(opened, { open: (value: T) => open(value) });
}
