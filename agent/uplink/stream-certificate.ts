// A connection outlives its certificate only until the console looks: better a new one in time.
import { certificateEnd } from "../tls.ts";

export interface CertificateWatch {
	/** A connection stands, with the certificate that is in use now. */
	connected(): void;
	close(): void;
}

const longest = 86_400_000;

export function watchCertificate(options: {
	/** PEM; undefined without TLS. */
	readonly used: () => string | undefined;
	/** Unix ms. */
	readonly clock: () => number;
	/** The connection's has ended, and there is another one. */
	readonly renewed: () => void;
	/** It has ended, and there is none. */
	readonly ended: () => void;
}): CertificateWatch {
	let timer: NodeJS.Timeout | undefined;
	const look = (): void => {
		clearTimeout(timer);
		const used = options.used();
		const end = certificateEnd(used);
		if (end === undefined) return;
		const left = Math.max(0, end - options.clock());
		timer = setTimeout(
			() => {
				if (left > longest) look();
				else if (options.used() !== used) options.renewed();
				else options.ended();
			},
			Math.min(left, longest),
		).unref();
	};
	return {
		connected: look,
		close: () => clearTimeout(timer),
	};
}
