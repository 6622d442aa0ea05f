/** The newest values of a series. Fixed memory; reading gives a copy in order. */
export class Ring {
  readonly #items: Float64Array;
  #length = 0;
  #next = 0;

  constructor(capacity: number) {
    this.#items = new Float64Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    this.#items[this.#next] = value;
    this.#next = (this.#next + 1) % this.#items.length;
    this.#length = Math.min(this.#length + 1, this.#items.length);
  }

  last(): number | undefined {
    if (this.#length === 0) return undefined;
    return this.#items[(this.#next - 1 + this.#items.length) % this.#items.length];
  }

  values(): number[] {
    const start = (this.#next - this.#length + this.#items.length) % this.#items.length;
    return Array.from(
      { length: this.#length },
      (_, index) => this.#items[(start + index) % this.#items.length] ?? Number.NaN,
    );
  }

  clear(): void {
    this.#length = 0;
    this.#next = 0;
  }
}
