import { onTestFinished, vi } from 'vitest';

/** Resolves when an error like that is reported on the console, where nothing shows meanwhile. */
export function reported(pattern: RegExp): Promise<void> {
  return new Promise((resolve) => {
    const spy = vi.spyOn(console, 'error').mockImplementation((...said) => {
      if (pattern.test(said.map(String).join(' '))) resolve();
    });
    onTestFinished(() => spy.mockRestore());
  });
}
