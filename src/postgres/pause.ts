/** Waits before the next try: twice as long after each failure, at most 5 s, each time a random part of it. */
export function pause(failures: number): Promise<void> {
  const most = Math.min(5000, 50 * 2 ** failures);
  return new Promise((resolve) => setTimeout(resolve, most / 2 + (Math.random() * most) / 2));
}
