import { arc } from 'd3-shape';

/** The outline of a part of the ring, as an SVG path. The only file that imports d3-shape. */

const shape = arc().cornerRadius(2);

/** @param from and `to`: angles in radians, clockwise from the top */
export function arcPath(from: number, to: number, innerRadius: number, outerRadius: number): string {
  return shape({ innerRadius, outerRadius, startAngle: from, endAngle: to }) ?? '';
}
