import { PgFlowError } from '../errors.js';
import { quoted } from '../flow/quoted.js';
import { callWatcher } from '../run/call-watcher.js';
import { CHANNELS } from './channels.js';
import type { TelemetryEvents } from './events.js';

/** A function for each event that is wanted, by the name of its channel. */
export type TelemetryListeners = {
  readonly [Name in keyof TelemetryEvents]?: (event: TelemetryEvents[Name]) => void;
};

/**
 * Calls functions for events of all pgflows of this process, until `detach` is called. They are called at once, in the
 * middle of the engine's work, so they are to be quick. What one throws is reported and stays with it. Without a
 * listener nothing is measured and no event is made.
 *
 * The events also come over the channels of `node:diagnostics_channel` with the same names; what a subscriber there
 * throws, Node makes an uncaught exception of.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for an event that there is not, or a listener that is no function; undefined is none.
 * @example
 * const detach = attachTelemetry({
 *   'pgflow:task:stop': ({ flowSlug, stepSlug, duration }) => histogram.record(duration, { flowSlug, stepSlug }),
 *   'pgflow:task:error': ({ runId, error, willRetry }) => console.error(runId, error, willRetry),
 * });
 */
export function attachTelemetry(listeners: TelemetryListeners): () => void {
  if (typeof listeners !== 'object' || listeners === null) {
    throw invalid('', `takes an object of functions, one for each event, not ${quoted(listeners)}.`);
  }
  const attached = Object.entries(listeners).flatMap(([name, fn]) => {
    checkListener(name, fn);
    const listener = (event: unknown) => callWatcher(fn as Listener, event);
    return fn === undefined ? [] : [{ channel: CHANNELS[name], listener }];
  });
  for (const { channel, listener } of attached) channel.subscribe(listener);
  return () => {
    for (const { channel, listener } of attached.splice(0)) channel.unsubscribe(listener);
  };
}

type Listener = (event: unknown) => void;

function checkListener(name: string, fn: unknown): asserts name is keyof TelemetryEvents {
  if (!Object.hasOwn(CHANNELS, name)) {
    throw invalid(name, `takes ${Object.keys(CHANNELS).join(', ')}, not ${quoted(name)}.`);
  }
  if (typeof fn !== 'function' && fn !== undefined)
    throw invalid(name, `takes a function for ${name}, not ${quoted(fn)}.`);
}

function invalid(path: string, message: string): PgFlowError {
  return new PgFlowError('INVALID_INPUT', `attachTelemetry ${message}`, {
    data: { issues: [{ path, message }] },
  });
}
