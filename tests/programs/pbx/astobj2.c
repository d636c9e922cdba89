/* Containers of objects, as hash tables and trees, and functions that corrupt them. */
#include "pbx.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define N_BUCKETS 3

struct hash_bucket_node {
	struct ao2_container_node common;
	struct {
		struct hash_bucket_node *first;
		struct hash_bucket_node *last;
	} links;
};

struct hash_bucket {
	struct {
		struct hash_bucket_node *first;
		struct hash_bucket_node *last;
	} list;
};

struct ao2_container_hash {
	struct ao2_container common;
	void *hash_fn;
	int n_buckets;
	struct hash_bucket buckets[0];
};

struct rbtree_node {
	struct ao2_container_node common;
	struct rbtree_node *parent;
	struct rbtree_node *left;
	struct rbtree_node *right;
};

struct ao2_container_rbtree {
	struct ao2_container common;
	struct rbtree_node *root;
};

int busyness = 1;

static const struct ao2_container_methods v_table_hash = { "hash" };
static const struct ao2_container_methods v_table_rbtree = { "rbtree" };

/* All objects except the first share a bucket, after a node without an object, as unlinking leaves it. */
struct ao2_container *ao2_hash_of(void **objects, int count)
{
	struct ao2_container_hash *hash = calloc(1, sizeof(*hash) + N_BUCKETS * sizeof(hash->buckets[0]));

	hash->common = (struct ao2_container) { &v_table_hash, 0, count * busyness };
	hash->n_buckets = N_BUCKETS;
	for (int i = -1; i < count * busyness; i++) {
		struct hash_bucket_node *node = calloc(1, sizeof(*node));
		struct hash_bucket *bucket = &hash->buckets[i == 0 ? 0 : 2];

		node->common = (struct ao2_container_node) { i < 0 ? NULL : objects[i % count], &hash->common, 1 };
		node->links.last = bucket->list.last;
		if (node->links.last) {
			node->links.last->links.first = node;
		} else {
			bucket->list.first = node;
		}
		bucket->list.last = node;
	}
	return &hash->common;
}

/* The first object is the root, the next two are its children, and so on. */
struct ao2_container *ao2_tree_of(void **objects, int count)
{
	struct ao2_container_rbtree *tree = calloc(1, sizeof(*tree));
	int total = count * busyness;
	struct rbtree_node *nodes = calloc(total, sizeof(*nodes));

	for (int i = 0; i < total; i++) {
		nodes[i].common = (struct ao2_container_node) { objects[i % count], &tree->common, 1 };
		nodes[i].left = 2 * i + 1 < total ? &nodes[2 * i + 1] : NULL;
		nodes[i].right = 2 * i + 2 < total ? &nodes[2 * i + 2] : NULL;
	}
	tree->common = (struct ao2_container) { &v_table_rbtree, 0, total };
	tree->root = nodes;
	return &tree->common;
}

static void damage_hash(struct ao2_container_hash *hash, enum damage damage)
{
	struct hash_bucket *bucket = &hash->buckets[2];

	if (damage == CYCLE) {
		bucket->list.last->links.first = bucket->list.first;
	} else if (damage == WILD) {
		bucket->list.last->links.first = NOWHERE;
	} else if (damage == COUNT) {
		hash->n_buckets = INT_MAX;
	}
}

static void damage_tree(struct ao2_container_rbtree *tree, enum damage damage)
{
	if (damage == CYCLE) {
		tree->root->left->left = tree->root;
	} else if (damage == WILD) {
		tree->root->left->left = NOWHERE;
	}
}

void ao2_damage(struct ao2_container *container, enum damage damage)
{
	if (damage == SMASHED) {
		memset(container, 'A', sizeof(*container));
		return;
	}
	if (damage == COUNT) {
		container->elements = 1000000;
	}
	if (container->v_table == &v_table_hash) {
		damage_hash((struct ao2_container_hash *) container, damage);
	} else {
		damage_tree((struct ao2_container_rbtree *) container, damage);
	}
}
