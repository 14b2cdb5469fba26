/** The part of d3-shape that the console uses; the package has no types. */
declare module 'd3-shape' {
  interface ArcShape {
    readonly innerRadius: number;
    readonly outerRadius: number;
    readonly startAngle: number;
    readonly endAngle: number;
  }
  interface Arc {
    (shape: ArcShape): string | null;
    cornerRadius(radius: number): Arc;
  }
  export function arc(): Arc;
}
