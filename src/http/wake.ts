/**
 * Calls `fn` when the device is likely to be back: online again, the page visible again or taken
 * out of the back/forward cache. Where there is no page, never.
 */
export function onWake(fn: () => void): () => void {
  if (typeof globalThis.addEventListener !== 'function') return () => {};
  const onVisible = () => {
    if (globalThis.document?.visibilityState === 'visible') fn();
  };
  globalThis.addEventListener('online', fn);
  globalThis.addEventListener('pageshow', fn);
  globalThis.document?.addEventListener('visibilitychange', onVisible);
  return () => {
    globalThis.removeEventListener('online', fn);
    globalThis.removeEventListener('pageshow', fn);
    globalThis.document?.removeEventListener('visibilitychange', onVisible);
  };
}
