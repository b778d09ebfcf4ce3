/** Bytes in chunks of any size, cut into lines. */

/** Cuts a stream of bytes at line feeds. */
export interface LineSplitter {
  /** The lines that end in this chunk, each without its line feed; they hold until the next chunk comes. */
  take(chunk: Uint8Array): Iterable<Uint8Array>;
  /** True where a last line without a line feed is left over, of which nothing was handed on. */
  end(): boolean;
}

const LINE_FEED = 10;

/** A line longer than `longest` bytes is handed on once, as far as it shows that, and the rest of it skipped. */
export function createLineSplitter(longest: number): LineSplitter {
  let rest: Uint8Array = new Uint8Array(0);
  let skipping = false;
  return {
    *take(chunk) {
      const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
      let from = 0;
      for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, from)) {
        if (!skipping) yield bytes.subarray(from, end);
        skipping = false;
        from = end + 1;
      }
      rest = bytes.subarray(from);
      if (rest.length <= longest) return;
      if (!skipping) yield rest;
      skipping = true;
      rest = new Uint8Array(0);
    },
    end: () => rest.length > 0 && !skipping,
  };
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
