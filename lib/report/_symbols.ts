import { markup } from "./_markup.ts";

/** Shapes of points, by the place of their series: with colour they tell six series apart. */
export const symbols = ["circle", "times", "square", "triangle", "diamond2", "plus"] as const;

/** The same shapes, 12 units wide, for the legend. */
export const shapes = [
  markup`<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
  markup`<path d="M2 2 10 10M2 10 10 2" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
  markup`<path d="M2.5 2.5h7v7h-7Z" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
  markup`<path d="M6 1.5 10.5 10h-9Z" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
  markup`<path d="M2 2h8v8h-8Z" transform="rotate(45 6 6)" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
  markup`<path d="M6 1v10M1 6h10" fill="none" stroke="currentColor" stroke-width="1.8"/>`,
];
