/** A layered layout: every node below those that lead to it, edges that span layers bundled by where they lead, few crossings. */

/** What is laid out. No edge leads to its own box; edges that do not lead back come to no box twice. */
export interface LayoutInput {
  readonly boxes: readonly LayoutBox[];
  readonly edges: readonly LayoutEdge[];
  /** Pairs of boxes of which the second lies lower, though no edge says so. */
  readonly below: readonly (readonly [number, number])[];
}

/** A box; or, with a bundle, a point where ways of that bundle meet. */
export interface LayoutBox {
  readonly width: number;
  readonly height: number;
  readonly bundle?: string;
}

/** Edges of one bundle share their way as soon as they can. */
export interface LayoutEdge {
  readonly from: number;
  readonly to: number;
  /** Leads up, to a box that lies higher. */
  readonly isBack: boolean;
  readonly bundle: string;
}

/** Where everything is. Boxes are placed by the middle of their upper side. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly places: readonly { readonly x: number; readonly y: number }[];
  /** Pieces of ways, each once: from the lower side of one layer to the upper side of the next, or through a layer. */
  readonly pieces: readonly Piece[];
}

/** A piece from top to bottom. */
export interface Piece {
  readonly bundle: string;
  readonly from: Point;
  readonly to: Point;
  /** It begins, or ends, at a box. */
  readonly atBox: { readonly from: boolean; readonly to: boolean };
}

/** In pixels, from the upper left corner. */
interface Point {
  readonly x: number;
  readonly y: number;
}

const LAYER_GAP = 46;
const NODE_GAP = 36;
/** What a way through a layer takes. */
const LANE_WIDTH = 10;
const SWEEPS = 12;
/** Links up to which crossings are counted; a picture with more is not readable whatever is done. */
const MAX_LINKS = 1500;
/** Rounds in which nodes are moved under one another. */
const ROUNDS = 30;

/** Lays the boxes out; the same input gives the same layout. */
export function layOut(input: LayoutInput): Layout {
  const graph = withLanes(input);
  const layers = orderLayers(graph);
  const xs = placeAcross(graph, layers);
  const left = Math.min(...graph.nodes.map(({ width }, node) => (xs[node] ?? 0) - width / 2));
  const tops: number[] = [];
  let height = 0;
  for (const layer of layers) {
    tops.push(height);
    height += Math.max(...layer.map((node) => graph.nodes[node]?.height ?? 0)) + LAYER_GAP;
  }
  const at = xs.map((x, node) => ({ x: x - left, y: tops[graph.nodes[node]?.layer ?? 0] ?? 0 }));
  const right = Math.max(...graph.nodes.map(({ width }, node) => (at[node]?.x ?? 0) + width / 2));
  return {
    width: right,
    height: height - LAYER_GAP,
    places: at.slice(0, input.boxes.length),
    pieces: piecesOf(graph, layers, at, input.boxes.length),
  };
}

interface Graph {
  /** The boxes, then the lanes: a lane takes a bundle through one layer. */
  readonly nodes: readonly LayoutNode[];
  /** Between neighbouring layers, downwards. */
  readonly links: readonly Link[];
}

interface LayoutNode {
  readonly width: number;
  readonly height: number;
  readonly layer: number;
  readonly isLane: boolean;
  readonly bundle: string;
}

interface Link {
  readonly upper: number;
  readonly lower: number;
  readonly bundle: string;
}

/** Takes each edge through the layers that it spans: a lane for each bundle and layer. */
function withLanes({ boxes, edges, below }: LayoutInput): Graph {
  const down = edges.filter(({ isBack }) => !isBack).map(({ from, to }) => [from, to] as const);
  const layers = layersOf(boxes.length, [...down, ...below]);
  const nodes: LayoutNode[] = boxes.map(({ width, height, bundle }, index) => ({
    width,
    height,
    layer: layers[index] ?? 0,
    isLane: bundle !== undefined,
    bundle: bundle ?? "",
  }));
  const links = new Map<string, Link>();
  const lanes = new Map<string, number>();
  const laneAt = (bundle: string, isBack: boolean, layer: number): number => {
    const key = `${bundle} ${isBack} ${layer}`;
    const known = lanes.get(key);
    if (known !== undefined) return known;
    const lane = { width: LANE_WIDTH, height: 0, layer, isLane: true, bundle };
    lanes.set(key, nodes.push(lane) - 1);
    return nodes.length - 1;
  };
  for (const { from, to, isBack, bundle } of edges) {
    const [top, bottom] = isBack ? [to, from] : [from, to];
    let upper = top;
    for (let layer = (layers[top] ?? 0) + 1; layer <= (layers[bottom] ?? 0); layer++) {
      const lower = layer === layers[bottom] ? bottom : laneAt(bundle, isBack, layer);
      links.set(`${upper} ${lower}`, { upper, lower, bundle });
      upper = lower;
    }
  }
  return { nodes, links: [...links.values()] };
}

/** Each box one layer below the lowest of those that lead to it: again and again, until nothing moves. */
function layersOf(count: number, pairs: readonly (readonly [number, number])[]): readonly number[] {
  const layers = Array.from({ length: count }, () => 0);
  for (let round = 0, moved = true; moved && round < count; round++) {
    moved = false;
    for (const [upper, lower] of pairs) {
      const layer = (layers[upper] ?? 0) + 1;
      if (layer <= (layers[lower] ?? 0)) continue;
      layers[lower] = layer;
      moved = true;
    }
  }
  return layers;
}

/** Puts the nodes of each layer in an order in which few links cross. */
function orderLayers({ nodes, links }: Graph): readonly (readonly number[])[] {
  const height = Math.max(...nodes.map(({ layer }) => layer)) + 1;
  const layers = Array.from({ length: height }, (_, layer) =>
    [...nodes.keys()].filter((node) => nodes[node]?.layer === layer),
  );
  if (links.length > MAX_LINKS) return layers;
  const [above, below] = neighbours(nodes.length, links);
  let best = layers.map((layer) => [...layer]);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers : layers.toReversed()) {
      const places = placesIn(layers);
      layer.sort(byMiddle(down ? above : below, places));
    }
    if (crossings(layers, links) < crossings(best, links)) best = layers.map((layer) => [...layer]);
  }
  return best;
}

type Neighbours = readonly (readonly number[])[];

function neighbours(count: number, links: readonly Link[]): readonly [Neighbours, Neighbours] {
  const above = Array.from({ length: count }, (): number[] => []);
  const below = Array.from({ length: count }, (): number[] => []);
  for (const { upper, lower } of links) {
    above[lower]?.push(upper);
    below[upper]?.push(lower);
  }
  return [above, below];
}

function placesIn(layers: readonly (readonly number[])[]): ReadonlyMap<number, number> {
  return new Map(
    layers.flatMap((layer) => layer.map((node, index) => [node, (index + 0.5) / layer.length])),
  );
}

function byMiddle(
  beside: Neighbours,
  places: ReadonlyMap<number, number>,
): (a: number, b: number) => number {
  const middle = (node: number): number => {
    const near = (beside[node] ?? []).map((one) => places.get(one) ?? 0);
    const sum = near.reduce((total, place) => total + place, 0);
    return near.length === 0 ? (places.get(node) ?? 0) : sum / near.length;
  };
  return (a, b) => middle(a) - middle(b) || a - b;
}

function crossings(layers: readonly (readonly number[])[], links: readonly Link[]): number {
  const places = new Map(layers.flatMap((layer) => layer.map((node, index) => [node, index])));
  const layerOf = new Map(layers.flatMap((layer, index) => layer.map((node) => [node, index])));
  const ends = links.map(({ upper, lower }) => [
    places.get(upper) ?? 0,
    places.get(lower) ?? 0,
    layerOf.get(upper) ?? 0,
  ]);
  let count = 0;
  for (const [index, [upperA = 0, lowerA = 0, layerA = 0]] of ends.entries())
    for (const [upperB = 0, lowerB = 0, layerB = 0] of ends.slice(index + 1))
      if (layerA === layerB && (upperA - upperB) * (lowerA - lowerB) < 0) count++;
  return count;
}

/** Moves nodes of each layer under and above those that they are linked with, straight lanes first of all. */
function placeAcross({ nodes, links }: Graph, layers: readonly (readonly number[])[]): number[] {
  const xs = nodes.map(() => 0);
  for (const layer of layers) settle(layer, nodes, xs, () => undefined);
  const [above, below] = neighbours(nodes.length, links);
  for (let round = 0; round < ROUNDS; round++) {
    const down = round % 2 === 0;
    const wishOf = (node: number): number | undefined =>
      meanOf(
        ((down ? above : below)[node] ?? []).map((by) => {
          const lanes = Number(nodes[node]?.isLane) + Number(nodes[by]?.isLane);
          return { x: xs[by] ?? 0, weight: [1, 2, 8][lanes] ?? 1 };
        }),
      );
    for (const layer of down ? layers : layers.toReversed()) settle(layer, nodes, xs, wishOf);
  }
  return xs;
}

function meanOf(
  pulls: readonly { readonly x: number; readonly weight: number }[],
): number | undefined {
  const weight = pulls.reduce((total, pull) => total + pull.weight, 0);
  return weight === 0
    ? undefined
    : pulls.reduce((total, pull) => total + pull.x * pull.weight, 0) / weight;
}

/** The nearest places to those that are wished for, in order and far enough apart: neighbours that push each other move as one. */
function settle(
  layer: readonly number[],
  nodes: readonly LayoutNode[],
  xs: number[],
  wishOf: (node: number) => number | undefined,
): void {
  const offsets: number[] = [];
  let offset = 0;
  for (const [index, node] of layer.entries()) {
    const before = layer[index - 1];
    if (before !== undefined) offset += distance(nodes[before], nodes[node]);
    offsets.push(offset);
  }
  const groups: { sum: number; count: number }[] = [];
  for (const [index, node] of layer.entries()) {
    let group = { sum: (wishOf(node) ?? xs[node] ?? 0) - (offsets[index] ?? 0), count: 1 };
    for (let last = groups.at(-1); last !== undefined; last = groups.at(-1)) {
      if (last.sum / last.count <= group.sum / group.count) break;
      groups.pop();
      group = { sum: last.sum + group.sum, count: last.count + group.count };
    }
    groups.push(group);
  }
  let index = 0;
  for (const { sum, count } of groups)
    for (const node of layer.slice(index, index + count)) {
      xs[node] = sum / count + (offsets[index] ?? 0);
      index++;
    }
}

function distance(a: LayoutNode | undefined, b: LayoutNode | undefined): number {
  const gap = a?.isLane === true || b?.isLane === true ? NODE_GAP / 2 : NODE_GAP;
  return ((a?.width ?? 0) + (b?.width ?? 0)) / 2 + gap;
}

function piecesOf(
  { nodes, links }: Graph,
  layers: readonly (readonly number[])[],
  at: readonly Point[],
  boxes: number,
): readonly Piece[] {
  const bottoms = layers.map((layer) => {
    const [first = 0] = layer;
    return (at[first]?.y ?? 0) + Math.max(...layer.map((node) => nodes[node]?.height ?? 0));
  });
  const bottomOf = (node: number): number => {
    const { isLane = false, layer = 0, height = 0 } = nodes[node] ?? {};
    return isLane ? (bottoms[layer] ?? 0) : (at[node]?.y ?? 0) + height;
  };
  const pointAt = (node: number, y: number): Point => ({ x: at[node]?.x ?? 0, y });
  const between = links.map(({ upper, lower, bundle }) => ({
    bundle,
    from: pointAt(upper, bottomOf(upper)),
    to: pointAt(lower, at[lower]?.y ?? 0),
    atBox: { from: nodes[upper]?.isLane === false, to: nodes[lower]?.isLane === false },
  }));
  // Points where ways meet are among the boxes: nothing goes through them.
  const through = [...nodes.entries()].slice(boxes).map(([node, { bundle }]) => ({
    bundle,
    from: pointAt(node, at[node]?.y ?? 0),
    to: pointAt(node, bottomOf(node)),
    atBox: { from: false, to: false },
  }));
  return [...between, ...through];
}
