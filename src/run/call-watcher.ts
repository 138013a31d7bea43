/**
 * Calls what someone else gave us. What it throws, also later as an async function, is reported (`reportError` where
 * there is one, else `console.error`) and goes no further, so one watcher cannot harm another or the state.
 */
export function callWatcher<Args extends unknown[]>(fn: (...args: Args) => unknown, ...args: Args): void {
  try {
    const result = fn(...args);
    if (result instanceof Promise) result.catch(report);
  } catch (error) {
    report(error);
  }
}

function report(error: unknown): void {
  try {
    if (typeof reportError === 'function') reportError(error);
    else console.error(error);
  } catch {
    // An error that cannot be shown must not become a second one.
  }
}
