/* The storage of channels in a C++ map by name. */
#include "pbx.h"

#include <map>
#include <string>

typedef std::map<std::string, struct ast_channel *> ChannelMap;

struct mni_channelstorage_driver_pvt {
	ChannelMap by_name;
	ChannelMap by_uniqueid;
};

const struct ast_channelstorage_driver cpp_map_name_id = { "cpp_map_name_id" };

struct ast_channelstorage_driver_pvt *cpp_map_of(struct ast_channel **channels, int count)
{
	auto *maps = new mni_channelstorage_driver_pvt();

	for (int i = 0; i < count; i++) {
		maps->by_name.emplace(channels[i]->name, channels[i]);
	}
	return (struct ast_channelstorage_driver_pvt *) maps;
}
