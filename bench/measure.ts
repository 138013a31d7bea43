/** The middle of the values, the higher of the two for an even number. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** `q` from 0 to 1. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
}

/** Milliseconds that `fn` takes. */
export async function timed(fn: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await fn();
  return performance.now() - start;
}

/** Calls `fn` `total` times, by `callers` loops at once. */
export async function callConcurrently(
  callers: number,
  total: number,
  fn: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < total) {
        next += 1;
        await fn(next - 1);
      }
    }),
  );
}
