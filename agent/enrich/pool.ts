// Equal values kept once. Bounded: a full pool starts anew, which costs memory for what is repeated and nothing else.

export class Pool<T> {
	readonly #limit: number;
	readonly #values = new Map<string, T>();

	constructor(limit: number) {
		this.#limit = limit;
	}

	get(key: string, make: () => T): T {
		const known = this.#values.get(key);
		if (known !== undefined) return known;
		if (this.#values.size >= this.#limit) this.#values.clear();
		const value = make();
		this.#values.set(key, value);
		return value;
	}
}
