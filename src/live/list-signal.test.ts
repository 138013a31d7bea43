import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ListSignal } from './list-signal.js';

let said: unknown[];
let signal: ListSignal;

beforeEach(() => {
  vi.useFakeTimers();
  said = [];
  signal = new ListSignal((message) => said.push(message));
});

afterEach(() => {
  signal.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const tellOften = () => {
  for (let n = 0; n < 100; n++) signal.tell();
};

it('says the first at once, and what follows together, a second later', () => {
  tellOften();
  expect(said).toHaveLength(1);
  vi.advanceTimersByTime(999);
  tellOften();
  expect(said).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(said).toHaveLength(2);
});

it('is quiet when there is nothing to say, and then says the next at once', () => {
  signal.tell();
  vi.advanceTimersByTime(1000);
  expect(vi.getTimerCount()).toBe(0);
  signal.tell();
  expect(said).toHaveLength(2);
});

it('says what is due when it is closed, and nothing after that', () => {
  tellOften();
  signal.close();
  expect(said).toHaveLength(2);
  tellOften();
  signal.close();
  expect(said).toHaveLength(2);
});

it('says nothing more when it is closed and all was said', () => {
  signal.tell();
  signal.close();
  expect(said).toHaveLength(1);
});

it("knows its own word, whatever a bus made of it, and no other's", () => {
  const others: unknown[] = [{}, null, undefined, 'x', { from: crypto.randomUUID() }];
  signal.tell();
  expect(signal.isOwn(JSON.parse(JSON.stringify(said[0])))).toBe(true);
  expect(others.map((message) => signal.isOwn(message))).toEqual([false, false, false, false, false]);
});
