import type { Change } from '../run/change.js';
import { encodeChange, encodeHint } from '../run/codec.js';
import type { RunBus } from './tracker.js';

/** A bus in the hands of a test: it delivers what it is told to, when it is told to. */
export class ScriptedBus implements RunBus {
  readonly subscribers = new Set<{ topic: string; fn: (message: unknown) => void }>();
  readonly connectionWatchers = new Set<(connected: boolean) => void>();
  /** Called before a subscription is taken; may wait, may throw. */
  beforeSubscribe: (topic: string) => unknown = () => {};

  readonly topics = { run: (runId: string) => `run:${runId}` };

  async subscribe(topic: string, fn: (message: unknown) => void): Promise<() => void> {
    await this.beforeSubscribe(topic);
    const subscriber = { topic, fn };
    this.subscribers.add(subscriber);
    return () => this.subscribers.delete(subscriber);
  }

  onConnection(fn: (connected: boolean) => void): () => void {
    this.connectionWatchers.add(fn);
    return () => this.connectionWatchers.delete(fn);
  }

  setConnected(connected: boolean): void {
    for (const fn of this.connectionWatchers) fn(connected);
  }

  tell(change: Change): void {
    this.send(change.runId, encodeChange(change));
  }

  hint(runId: string, seq: number): void {
    this.send(runId, encodeHint(runId, seq));
  }

  /** Delivers any message on a run's topic, as JSON. */
  send(runId: string, message: unknown): void {
    const wire = JSON.stringify(message);
    for (const { topic, fn } of [...this.subscribers]) {
      if (topic === this.topics.run(runId)) fn(wire === undefined ? undefined : JSON.parse(wire));
    }
  }
}
