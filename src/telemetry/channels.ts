import { type Channel, channel } from 'node:diagnostics_channel';
import type { TelemetryEvents } from './events.js';

type Channels = { readonly [Name in keyof TelemetryEvents]: Channel };

const open = <Name extends string>(name: Name) => ({ [name]: channel(name) }) as Record<Name, Channel>;

/**
 * The channels of `node:diagnostics_channel` on which events are told. They are the process's: all pgflows in it
 * tell on the same ones, and say in each event which they are.
 */
export const CHANNELS: Channels = {
  ...open('pgflow:worker:start'),
  ...open('pgflow:worker:stop'),
  ...open('pgflow:worker:error'),
  ...open('pgflow:claim:start'),
  ...open('pgflow:claim:stop'),
  ...open('pgflow:claim:error'),
  ...open('pgflow:task:start'),
  ...open('pgflow:task:stop'),
  ...open('pgflow:task:error'),
  ...open('pgflow:step:start'),
  ...open('pgflow:step:stop'),
  ...open('pgflow:step:error'),
  ...open('pgflow:run:start'),
  ...open('pgflow:run:stop'),
  ...open('pgflow:run:error'),
  ...open('pgflow:change'),
};

/** Whether anybody listens. To be asked before an event is made: nobody is to pay for what nobody hears. */
export function isHeard(name: keyof TelemetryEvents): boolean {
  return CHANNELS[name].hasSubscribers;
}

export function isAnyHeard(names: readonly (keyof TelemetryEvents)[]): boolean {
  for (const name of names) if (isHeard(name)) return true;
  return false;
}

export function tell<Name extends keyof TelemetryEvents>(name: Name, event: TelemetryEvents[Name]): void {
  CHANNELS[name].publish(event);
}
