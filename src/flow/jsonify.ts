/**
 * What a value of type T is after `JSON.parse(JSON.stringify(value))`, which is what happens to
 * inputs and outputs on their way through the database.
 *
 * `toJSON` is honoured, so a Date is a string. Functions, symbols and `undefined` are left out of
 * objects and are null elsewhere. A bigint, which JSON cannot hold, is `never`. A Map or Set is `{}`.
 * `any` and `unknown` stay as they are.
 *
 * @example
 * type Line = Jsonify<{ at: Date; note: string | undefined }>; // { at: string; note?: string }
 */
export type Jsonify<T> = 0 extends 1 & T ? any : unknown extends T ? unknown : JsonValue<AfterToJson<T>>;

type AfterToJson<T> = T extends { toJSON(...args: any): infer Json } ? Json : T;

/** What JSON does not write: left out of objects, null elsewhere. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing returns void
type Absent = void | symbol | Function;

type JsonValue<T> = T extends string | number | boolean | null
  ? T
  : T extends bigint
    ? never
    : T extends Absent
      ? null
      : T extends readonly (infer Element)[]
        ? IsTuple<T> extends true
          ? { [Index in keyof T]: Jsonify<T[Index]> }
          : T extends unknown[]
            ? Jsonify<Element>[] // In this notation TypeScript resolves it late, so recursive types end.
            : readonly Jsonify<Element>[]
        : T extends ArrayBufferView
          ? Record<string, number>
          : T extends WithoutOwnProperties
            ? {}
            : JsonObject<T>;

type IsTuple<T extends readonly unknown[]> = number extends T['length']
  ? '0' extends keyof T
    ? true
    : false
  : true;

type WithoutOwnProperties =
  | ReadonlyMap<any, any>
  | ReadonlySet<any>
  | WeakMap<any, any>
  | WeakSet<any>
  | ArrayBuffer
  | RegExp
  | Promise<any>;

type JsonObject<T> = { [Key in keyof T]: Written<Key, T[Key]> } extends { [Key in keyof T]: 'always' }
  ? { [Key in keyof T]: Jsonify<T[Key]> }
  : Flat<
      { [Key in keyof T as When<Key, T[Key], 'always'>]: Jsonify<T[Key]> } & {
        [Key in keyof T as When<Key, T[Key], 'maybe'>]?: Jsonify<Exclude<T[Key], Absent>>;
      }
    >;

type When<Key, Value, Wanted> = Written<Key, Value> extends Wanted ? Key : never;

/** Whether JSON has a property: always, maybe, or no. */
type Written<Key, Value> = Key extends symbol
  ? 'no'
  : unknown extends Value
    ? 'always'
    : [Extract<AfterToJson<Value>, Absent>] extends [never]
      ? 'always'
      : [AfterToJson<Value>] extends [Absent]
        ? 'no'
        : 'maybe';

type Flat<T> = T extends infer Whole ? { [Key in keyof Whole]: Whole[Key] } : never;
