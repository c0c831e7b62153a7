# Prints for each group a table of ratios to its first case: wall time with its spread
# over the rounds, processor time, peak memory and what went to standard output. Below,
# how the first of our programs stands to the best peer, the same of those that don't
# compress, and a pipe to its slower part.
function median(list, n,    i, j, t) {
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
function ratio(a, b) { return b > 0 ? a / b : 0 }
# ratios fills r with the sorted ratios of the wall times of two cases; it returns their median.
function ratios(key, ref, r,    i, n) {
	n = count[key] < count[ref] ? count[key] : count[ref]
	split("", r)
	for (i = 1; i <= n; i++) r[i] = ratio(wall[key, i], wall[ref, i])
	rounds = n
	return median(r, n)
}
# best returns the case of a kind in a group with the smallest, or largest, ratio to a case.
function best(g, kind, ref, largest,    k, x, found, limit) {
	for (k = 1; k <= total; k++)
		if (group[keys[k]] == g && kinds[keys[k]] == kind) {
			x = ratios(keys[k], ref, r)
			if (found == "" || (largest ? x > limit : x < limit)) { found = keys[k]; limit = x }
		}
	return found
}
function beside(own, other, text,    x) {
	if (own == "" || other == "") return
	x = ratios(other, own, r)
	printf "\n%s is %.2f times as fast as %s, %s (%.2f–%.2f).\n", name[own], x, text, name[other], r[1], r[rounds]
}
function below(g,    own, part, x) {
	own = ours[g]
	beside(own, best(g, "peer", own, 0), "the best peer")
	beside(stored[g], best(g, "peer-stored", stored[g], 0), "the best peer that doesn't compress")
	if (own != "" && (part = best(g, "part", own, 1)) != "") {
		x = ratios(own, part, r)
		printf "\n%s takes %.2f times as long as the slower of the two alone, %s (%.2f–%.2f).\n", name[own], x, name[part], r[1], r[rounds]
	}
}
{
	key = $1 "\t" $2
	if (!(key in count)) { keys[++total] = key; group[key] = $1; name[key] = $2; kinds[key] = $3 }
	n = ++count[key]
	wall[key, n] = $4; cpu[key, n] = $5
	if ($6 > memory[key]) memory[key] = $6
	size[key] = $7
	if (!($1 in first)) { first[$1] = key; order[++groups] = $1 }
	if ($3 == "stored" && !($1 in stored)) stored[$1] = key
	if ($3 == "own" && !($1 in ours)) ours[$1] = key
}
END {
	for (g = 1; g <= groups; g++) {
		printf "\n### %s\n\n| | time | spread | CPU | peak memory | output |\n|---|---|---|---|---|---|\n", order[g]
		ref = first[order[g]]
		for (k = 1; k <= total; k++) {
			key = keys[k]
			if (group[key] != order[g]) continue
			mid = ratios(key, ref, r)
			for (i = 1; i <= rounds; i++) c[i] = ratio(cpu[key, i], cpu[ref, i])
			out = size[key] > 0 ? sprintf("%.1f MiB", size[key] / 1048576) : ""
			label = name[key]
			gsub(/\|/, "\\|", label)
			printf("| %s | %.2f | %.2f–%.2f | %.2f | %.0f MiB | %s |\n", label, mid, r[1], r[rounds], median(c, rounds), memory[key] / 1024, out)
		}
		below(order[g])
	}
}
