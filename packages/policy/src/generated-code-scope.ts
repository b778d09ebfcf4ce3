/** Names of generated code: found once, when it is read, and by their places when it runs. */

/** The variables of one running function, and of the one around it. */
export interface Frame {
  readonly slots: unknown[];
  readonly outer?: Frame;
}

/** Something that is evaluated in a frame. */
export type Evaluation = (frame: Frame) => unknown;

/** The variables of a function while it is read. */
interface Slots {
  count: number;
}

/** The names of one block. */
export interface Scope {
  readonly names: Map<string, number>;
  readonly slots: Slots;
  /** The block around it; of a function the one that it stands in. */
  readonly around?: Scope;
}

/** Where a variable is: so many functions further out, at this place. */
export interface Place {
  readonly depth: number;
  readonly slot: number;
}

/** The scope of a function. */
export function functionScope(around?: Scope): Scope {
  return { names: new Map(), slots: { count: 0 }, ...(around && { around }) };
}

/** The scope of a block. */
export function blockScope(around: Scope): Scope {
  return { names: new Map(), slots: around.slots, around };
}

/** A new variable of this block. */
export function declare(scope: Scope, name: string): number {
  const slot = scope.slots.count++;
  scope.names.set(name, slot);
  return slot;
}

/** `var`: a variable of the whole function, one for each name. */
export function declareVar(scope: Scope, name: string): number {
  let top = scope;
  while (top.around?.slots === top.slots) top = top.around;
  return top.names.get(name) ?? declare(top, name);
}

/** Finds a variable; `undefined` where there is none of that name. */
export function find(scope: Scope, name: string): Place | undefined {
  let depth = 0;
  for (let here: Scope | undefined = scope; here !== undefined; here = here.around) {
    const slot = here.names.get(name);
    if (slot !== undefined) return { depth, slot };
    if (here.around?.slots !== here.slots) depth++;
  }
  return undefined;
}

/** The variables of the function that is so many further out. */
export function slotsAt(frame: Frame, depth: number): unknown[] {
  let here: Frame | undefined = frame;
  for (let i = 0; i < depth; i++) here = here?.outer;
  if (here === undefined) throw new RangeError("no function is so far out");
  return here.slots;
}
