/** Something that whoever starts the example can put right; the message says how, and no stack is shown. */
export class CannotStart extends Error {}
