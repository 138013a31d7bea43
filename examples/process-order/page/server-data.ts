import { useEffect, useState } from 'react';

export interface ServerData<T> {
  readonly value: T | null;
  readonly error: string | null;
  /** Asks again after an error. */
  readonly retry: () => void;
}

/** What the server answers to a GET, read once. */
export function useServerData<T>(path: string): ServerData<T> {
  const [answer, setAnswer] = useState<Omit<ServerData<T>, 'retry'>>({ value: null, error: null });
  const [tries, setTries] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another try reads again
  useEffect(() => {
    const reading = new AbortController();
    read<T>(path, reading.signal).then(
      (value) => setAnswer({ value, error: null }),
      (error: Error) => {
        if (!reading.signal.aborted) setAnswer({ value: null, error: error.message });
      },
    );
    return () => reading.abort();
  }, [path, tries]);
  return { ...answer, retry: () => setTries((count) => count + 1) };
}

async function read<T>(path: string, signal: AbortSignal): Promise<T> {
  const response = await fetch(path, { signal }).catch((cause) => {
    throw new Error('The server cannot be reached.', { cause });
  });
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return response.json();
}
